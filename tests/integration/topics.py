"""Kafka's side of a measurement, seen by a client of its own: how far groups are behind, what stands in a topic."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from stages.core.bus.base import Topics
from stages.simnet.network import Simnet
from tests.servers.kafka import KafkaServer

T = TypeVar("T")

#: Longer than any message of ours: a dead letter is at most 8 MiB.
FETCH_BYTES = 16 << 20


@dataclass
class Log:
    """All topics of one prefix on one broker."""

    net: Simnet
    server: KafkaServer
    prefix: str

    @property
    def url(self) -> str:
        return f"kafka://{self.server.bootstrap}"

    @property
    def topics(self) -> Topics:
        return Topics(self.prefix)

    @property
    def words(self) -> tuple[str, ...]:
        """What every stage is told."""
        return ("--bus", self.url, "--topic-prefix", self.prefix)

    def _do(self, work: Callable[[], Awaitable[T]], seconds: float = 30) -> T:
        async def bounded() -> T:
            async with asyncio.timeout(seconds):
                return await work()

        with self.net.inside():
            return asyncio.run(bounded())

    def behind(self, stage: str, topics: Sequence[str]) -> int:
        """Messages of `topics` that the stage's group has not committed."""

        async def ask() -> int:
            consumer = AIOKafkaConsumer(bootstrap_servers=self.server.bootstrap)
            admin = AIOKafkaAdminClient(bootstrap_servers=self.server.bootstrap)
            await consumer.start()
            await admin.start()
            try:
                partitions = await _partitions(admin, topics)
                group = f"{self.prefix}.{stage}"
                done: dict[Any, Any] = await admin.list_consumer_group_offsets(group)
                ends = await consumer.end_offsets(partitions)
            finally:
                await admin.close()
                await consumer.stop()
            return sum(end - max(0, done[tp].offset if tp in done else 0) for tp, end in ends.items())

        return self._do(ask)

    def drained(self) -> bool:
        """Whether everything is worked off: the grabs first, then what they gave to the sink."""
        t = self.topics
        for grab in ("bannergrab", "tlsgrab"):
            if self.behind(grab, [t.hits]) or self.behind(f"{grab}.later", [t.later(grab)]):
                return False
        return not self.behind("sink", [t.hits, t.banners, t.tls, t.scans])

    def put(self, topic: str, values: Iterable[bytes], seconds: float = 30) -> None:
        """Write values as somebody else's program would."""

        async def send() -> None:
            producer = AIOKafkaProducer(bootstrap_servers=self.server.bootstrap, max_request_size=FETCH_BYTES)
            await producer.start()
            try:
                for number, value in enumerate(values):
                    await producer.send(topic, value, key=b"%d" % number)
            finally:
                await producer.stop()

        self._do(send, seconds)

    def read(self, topic: str, seconds: float = 30) -> list[tuple[bytes, dict[str, bytes]]]:
        """(value, headers) of every message that stands there now."""

        async def fetch() -> list[tuple[bytes, dict[str, bytes]]]:
            consumer = AIOKafkaConsumer(
                bootstrap_servers=self.server.bootstrap,
                auto_offset_reset="earliest",
                max_partition_fetch_bytes=FETCH_BYTES,
                fetch_max_bytes=4 * FETCH_BYTES,
            )
            admin = AIOKafkaAdminClient(bootstrap_servers=self.server.bootstrap)
            await consumer.start()
            await admin.start()
            try:
                partitions = await _partitions(admin, [topic])
                if not partitions:
                    return []
                consumer.assign(partitions)
                ends = await consumer.end_offsets(partitions)
                await consumer.seek_to_beginning(*partitions)
                messages: list[tuple[bytes, dict[str, bytes]]] = []
                while any([await consumer.position(tp) < ends[tp] for tp in partitions]):
                    for records in (await consumer.getmany(timeout_ms=200)).values():
                        messages += [(record.value, dict(record.headers)) for record in records]
            finally:
                await admin.close()
                await consumer.stop()
            return messages

        return self._do(fetch, seconds)


async def _partitions(admin: Any, topics: Sequence[str]) -> list[Any]:
    """Of those topics that exist."""
    there = set(await admin.list_topics())
    told = await admin.describe_topics([topic for topic in topics if topic in there])
    return [TopicPartition(topic["topic"], part["partition"]) for topic in told for part in topic["partitions"]]
