from __future__ import annotations

import asyncio
import logging
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from uuid import uuid4

import pytest
from aiokafka import TopicPartition

from stages.core.bus.base import Broadcast, Output, Publisher, Source, Tail, partition_of
from stages.core.bus.kafka import KafkaBroadcast, KafkaPublisher, KafkaSource, KafkaTail, KafkaTopics, look
from stages.core.bus.kafka_options import KafkaOptions
from stages.core.errors import HostError, Unavailable
from tests.core.bus.contract import (
    BANNERS,
    DEADLINE,
    HITS,
    ORDERS,
    GroupContract,
    Harness,
    TailContract,
    ends,
    lines,
    never,
    read,
)
from tests.servers.kafka import KafkaServer, free_port


def options(bootstrap: str, **changes: object) -> KafkaOptions:
    settings = {"partitions": 4, "session_timeout": 6.0, "rebalance_timeout": 20.0, "request_timeout": 10.0, **changes}
    return KafkaOptions((bootstrap,), **settings)  # type: ignore[arg-type]


class KafkaHarness(Harness):
    def __init__(self, server: KafkaServer) -> None:
        super().__init__(f"t{uuid4().hex[:8]}.")
        self.server = server

    def options(self, **changes: object) -> KafkaOptions:
        return options(self.server.bootstrap, **changes)

    def make_source(self, topics: Sequence[str], group: str) -> Source:
        return KafkaSource(self.options(), topics, group)

    def make_tail(self, topic: str, key: bytes) -> Tail:
        return KafkaTail(self.options(), topic, key)

    def make_broadcast(self, topic: str) -> Broadcast:
        return KafkaBroadcast(self.options(), topic)

    def make_publisher(self) -> Publisher:
        return KafkaPublisher(self.options())


@pytest.fixture
async def bus(kafka: KafkaServer) -> AsyncIterator[KafkaHarness]:
    harness = KafkaHarness(kafka)
    yield harness
    await harness.close()


class TestKafka(GroupContract, TailContract):
    """The contract over a Kafka broker."""


async def test_partitions_are_those_of_partition_of(bus: KafkaHarness) -> None:
    publisher, source = await bus.publisher(), await bus.source()
    await publisher.publish([Output(bus.topic(HITS), b"10.0.%d" % i, b"10.0.%d" % i) for i in range(50)])
    chunks = await read(source, 50)
    assert all(partition_of(line, 4) == chunk.partition for chunk in chunks for line in chunk.lines)
    assert len({chunk.partition for chunk in chunks}) == 4


async def test_orders_stand_in_one_compacted_row(bus: KafkaHarness) -> None:
    await bus.broadcast()
    topic = bus.topic(ORDERS)
    shape = (await KafkaTopics(bus.options()).found([topic]))[topic]
    assert shape.partitions == 1
    assert shape.configs["cleanup.policy"] == "compact"


async def test_a_broadcast_of_a_broker_that_is_not_there() -> None:
    reader = KafkaBroadcast(options(f"127.0.0.1:{free_port()}", request_timeout=1.0), "t.orders.v1")
    with pytest.raises(Unavailable):
        await reader.start()
    await reader.close()


async def test_batches_of_lines(bus: KafkaHarness) -> None:
    publisher, source = KafkaPublisher(bus.options(batch_lines=100)), await bus.source()
    await publisher.start()
    await publisher.publish(bus.outputs(1_000, keys=1))
    chunks = await read(source, 1_000)
    assert [len(chunk.lines) for chunk in chunks] == [100] * 10
    await publisher.close()


async def test_more_than_one_batch_for_a_partition(bus: KafkaHarness) -> None:
    publisher, source = await bus.publisher(), await bus.source()
    sent = [Output(bus.topic(HITS), b"k%d" % (i % 3), b"%d " % i + b"x" * 30_000) for i in range(150)]
    await publisher.publish(sent)
    got = lines(await read(source, 150))
    assert sorted(got) == sorted(output.value for output in sent)
    for number in range(3):
        mine = [line for line in got if int(line.split()[0]) % 3 == number]
        assert mine == [output.value for output in sent if output.key == b"k%d" % number]


async def test_topics_are_made_by_many_at_once(bus: KafkaHarness) -> None:
    publishers = [KafkaPublisher(bus.options(), [bus.topic(HITS), bus.topic(BANNERS)]) for _ in range(4)]
    await asyncio.gather(*[publisher.start() for publisher in publishers])
    assert all(publisher.ready for publisher in publishers)
    await asyncio.gather(*[publisher.publish(bus.outputs(3)) for publisher in publishers])
    for publisher in publishers:
        await publisher.close()


async def test_looking_makes_nobody_a_reader(bus: KafkaHarness) -> None:
    publisher, source = await bus.publisher(), await bus.source()
    outputs = bus.outputs(50)
    await publisher.publish(outputs)
    for _ in range(2):
        seen = [line async for chunk in look(bus.options(), bus.topic(HITS)) for line in chunk.lines]
        assert sorted(seen) == sorted(output.value for output in outputs)
    nowhere = bus.topic("nowhere")
    for _ in range(2):  # the first look has not made it
        assert [chunk async for chunk in look(bus.options(), nowhere)] == []
    assert len(lines(await read(source, 50))) == 50


async def test_looking_at_a_cluster_that_is_not_there() -> None:
    with pytest.raises(Unavailable):
        await anext(look(options(f"127.0.0.1:{free_port()}"), HITS))


async def test_a_message_too_large_for_the_topic(bus: KafkaHarness) -> None:
    publisher, source = await bus.publisher(), await bus.source()
    with pytest.raises(HostError, match="too large"):
        await publisher.publish([Output(bus.topic(HITS), b"k", b"x" * 1_100_000)])
    await publisher.publish([Output(bus.topic("t.dead.v1"), b"k", b"x" * 3_000_000, {"reason": b"oversized"})])
    await publisher.publish(bus.outputs(2))  # the producer is a new one, its sequence whole
    assert len(lines(await read(source, 2))) == 2


async def test_an_unreachable_broker_is_waited_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "longline")
    server = KafkaServer(tmp_path)
    source = KafkaSource(options(server.bootstrap), [HITS], "g")
    publisher = KafkaPublisher(options(server.bootstrap), [HITS])
    starts = [asyncio.create_task(source.start(never)), asyncio.create_task(publisher.start())]
    async with asyncio.timeout(DEADLINE):
        while caplog.text.count("trying again") < 4:
            await asyncio.sleep(0.05)
    assert not source.ready
    assert not publisher.ready
    assert server.bootstrap in caplog.text
    await asyncio.to_thread(server.start)
    try:
        async with asyncio.timeout(DEADLINE):
            await asyncio.gather(*starts)
        assert source.ready
        assert publisher.ready
        await publisher.publish([Output(HITS, b"k", b"x")])
        assert lines(await read(source, 1)) == [b"x"]
    finally:
        await source.close()
        await publisher.close()
        await asyncio.to_thread(server.stop, signal.SIGKILL)


async def test_a_start_can_be_given_up() -> None:
    bootstrap = f"127.0.0.1:{free_port()}"
    source, publisher = KafkaSource(options(bootstrap), [HITS], "g"), KafkaPublisher(options(bootstrap))
    for start in (source.start(never), publisher.start()):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await start
    await source.close()
    await publisher.close()


@pytest.fixture(scope="module")
def unsteady(tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    """A broker that these tests stop, kill and start again."""
    with KafkaServer(tmp_path_factory.mktemp("unsteady")) as server:
        yield server


def test_partitions_that_come_after_the_end_are_left_to_others() -> None:
    """A join that ends while the source is closed: aiokafka printed our traceback, and CI saw it."""
    source = KafkaSource(options("127.0.0.1:1"), ["hits"], "g")
    source._assigned([TopicPartition("hits", 0)])
    assert not source.ready
    assert source.share == 1.0


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
async def test_a_broker_restarted_in_the_middle_loses_nothing(unsteady: KafkaServer, signum: int) -> None:
    bus = KafkaHarness(unsteady)
    publisher, source = await bus.publisher(), await bus.source()
    sent: list[Output] = []
    seen: list[bytes] = []
    over = asyncio.Event()

    async def produce() -> None:
        while not over.is_set():
            batch = bus.outputs(20, keys=7)
            for i, output in enumerate(batch):
                output.value = b"%d" % (len(sent) + i)
            while True:
                try:
                    await publisher.publish(batch)
                    break
                except Unavailable:
                    assert not publisher.ready
            sent.extend(batch)
            await asyncio.sleep(0.01)

    async def consume() -> None:
        while not (over.is_set() and len(set(seen)) >= len(sent)):
            try:
                chunks = await source.poll(500, 0.2)
                seen.extend(lines(chunks))
                await source.commit(ends(chunks))
            except Unavailable:
                continue

    tasks = [asyncio.create_task(produce()), asyncio.create_task(consume())]
    async with asyncio.timeout(3 * DEADLINE):
        while len(seen) < 200:
            await asyncio.sleep(0.05)
        await asyncio.to_thread(unsteady.restart, signum)
        reached = len(sent) + 400
        while len(sent) < reached:
            await asyncio.sleep(0.05)
        over.set()
        await asyncio.gather(*tasks)
    assert {output.value for output in sent} <= set(seen)
    await bus.close()


async def test_a_hanging_broker(unsteady: KafkaServer) -> None:
    """No acknowledgement within the timeout: Unavailable, and the same outputs again are not written twice."""
    bus = KafkaHarness(unsteady)
    source = await bus.source()
    publisher = KafkaPublisher(bus.options(request_timeout=1.0), [bus.topic(HITS)])
    await publisher.start()
    first, second = bus.outputs(5), bus.outputs(7)
    await publisher.publish(first)
    chunks = await read(source, 5)
    source.options = bus.options(request_timeout=0.5)  # type: ignore[attr-defined]
    unsteady.pause()
    try:
        for _ in range(2):
            with pytest.raises(Unavailable, match="not acknowledged"):
                await publisher.publish(second)
        assert not publisher.ready
        with pytest.raises(Unavailable, match="no answer to a commit"):
            await source.commit(ends(chunks))
        assert not source.ready
    finally:
        unsteady.resume()
    async with asyncio.timeout(DEADLINE):
        while not publisher.ready:
            try:
                await publisher.publish(second)
            except Unavailable:
                continue
    assert sorted(lines(await read(source, 7))) == sorted(output.value for output in second)
    assert await source.poll(100, 0.5) == []
    await source.commit(ends(chunks))
    await publisher.close()
    await bus.close()


async def test_other_outputs_after_a_timeout_go_out_by_a_new_producer(unsteady: KafkaServer) -> None:
    bus = KafkaHarness(unsteady)
    source = await bus.source()
    publisher = KafkaPublisher(bus.options(request_timeout=1.0), [bus.topic(HITS)])
    await publisher.start()
    unsteady.pause()
    try:
        with pytest.raises(Unavailable):
            await publisher.publish(bus.outputs(5))
        with pytest.raises(Unavailable):
            await publisher.publish([Output(bus.topic(HITS), b"k", b"other")])
    finally:
        unsteady.resume()
    async with asyncio.timeout(DEADLINE):
        while not publisher.ready:
            try:
                await publisher.publish([Output(bus.topic(HITS), b"k", b"other")])
            except Unavailable:
                continue
        while b"other" not in lines(await source.poll(100, 0.5)):
            continue
    await publisher.close()
    await bus.close()


WORKER = """
import asyncio, sys
from stages.core.bus.kafka import KafkaSource
from stages.core.bus.kafka_options import KafkaOptions
async def never(_): pass
async def main():
    bootstrap, topic, group = sys.argv[1:]
    options = KafkaOptions((bootstrap,), partitions=4, session_timeout=6.0, rebalance_timeout=20.0)
    source = KafkaSource(options, [topic], group)
    await source.start(never)
    n = 0
    while True:
        n += sum(len(chunk.lines) for chunk in await source.poll(100, 0.5))
        print(n, flush=True)
asyncio.run(main())
"""


async def test_a_killed_member_is_replaced(bus: KafkaHarness) -> None:
    """SIGKILL says no good-bye: after the session timeout the partitions go to another member, from the commit on."""
    publisher = await bus.publisher()
    await publisher.publish(bus.outputs(50, keys=9))
    worker = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        WORKER,
        bus.server.bootstrap,
        bus.topic(HITS),
        bus.prefix + "g",
        stdout=subprocess.PIPE,
    )
    assert worker.stdout is not None
    async with asyncio.timeout(DEADLINE):
        while int(await worker.stdout.readline()) < 50:
            continue
    worker.kill()
    await worker.communicate()
    source = await bus.source()
    assert len(lines(await read(source, 50))) == 50


async def test_a_static_member_comes_back_without_a_rebalance(bus: KafkaHarness) -> None:
    publisher = await bus.publisher()
    asked: list[object] = []

    async def revoked(partitions: object) -> None:
        asked.append(partitions)

    def member(name: str) -> KafkaSource:
        return KafkaSource(bus.options(member=name), [bus.topic(HITS)], bus.prefix + "g")

    one = member("pod-0")
    await one.start(revoked)
    await publisher.publish(bus.outputs(10))
    await one.commit(ends(await read(one, 10)))
    await one.close()
    again = member("pod-0")
    await again.start(revoked)
    await publisher.publish(bus.outputs(10))
    assert len(lines(await read(again, 10))) == 10
    assert asked == []
    await again.close()
