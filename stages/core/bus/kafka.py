"""The bus on Kafka, by aiokafka: the only file that knows it.

Reading: one member of a consumer group, from the earliest record, with offsets committed by hand. aiokafka rebalances
eagerly: everything is revoked, then dealt anew. The listener runs in aiokafka's own task and takes no lock that `poll`
holds, and `poll` never waits inside aiokafka for a rebalance: it leaves its fetch running and comes back to it, so
that whoever is asked to give partitions up can go on polling meanwhile. A fetch that began before a revocation is
thrown away; what it held is fetched again from the committed position.

Writing: idempotent, acks=all, in batches made here for partitions chosen here (`base.partition_of`: aiokafka's own
partitioner costs 3 us a record). An idempotent batch never expires inside aiokafka, so a publish that is not
acknowledged in `request_timeout` raises Unavailable and leaves it on its way; the same outputs published again wait
for the same batch and are not written twice. Anything else that fails ends the producer (a gap in its sequence numbers
would refuse all that follows), and the next publish makes a new one.

Topics that are missing are made, by whoever comes first.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from operator import is_
from typing import Any, Final, TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    AuthenticationFailedError,
    AuthenticationMethodNotSupported,
    ClusterAuthorizationFailedError,
    CommitFailedError,
    ConsumerStoppedError,
    GroupAuthorizationFailedError,
    GroupCoordinatorNotAvailableError,
    IllegalStateError,
    IncompatibleBrokerVersion,
    InconsistentGroupProtocolError,
    InvalidGroupIdError,
    InvalidSessionTimeoutError,
    InvalidTopicError,
    KafkaError,
    MessageSizeTooLargeError,
    PolicyViolationError,
    SaslAuthenticationFailed,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    UnsupportedSaslMechanismError,
)
from aiokafka.errors import for_code as _error_of

from stages.core.bus.base import Chunk, OnRevoke, Output, Partition, Source, partition_of
from stages.core.bus.batching import by_partition, joined, split
from stages.core.bus.kafka_options import (
    FETCH_BYTES,
    MAX_BATCH_BYTES,
    MAX_DEAD_BYTES,
    MAX_MESSAGE_BYTES,
    PARTITION_FETCH_BYTES,
    KafkaOptions,
    configs_of,
    partitions_of,
)
from stages.core.bus.topic_plan import TOPIC, Holding, Shape, Step
from stages.core.errors import HostError, Unavailable

log = logging.getLogger("longline.bus.kafka")

T = TypeVar("T")

#: Seconds between two tries to reach the cluster: doubled from the first to the last.
FIRST_RETRY_SECONDS: Final = 0.2
LAST_RETRY_SECONDS: Final = 5.0

#: Seconds without a record until the source asks the cluster whether it is there: `ready` is at most this much late.
PROBE_SECONDS: Final = 5.0

#: Seconds that closing a client may take before it is dropped.
CLOSE_SECONDS: Final = 5.0

#: DescribeConfigs: the source of a setting that was set for this topic (KIP-226, DYNAMIC_TOPIC_CONFIG).
_TOPICS_OWN: Final = 1

#: DescribeGroups: where the members of a group stand in its description, in every version.
_MEMBERS: Final = 5

#: Seconds of one wait for more of a topic that is looked through.
LOOK_SECONDS: Final = 0.2

#: aiokafka's own limit on the time between two reads. The runner may rightly read nothing for hours (politeness), and
#: `/healthz` says whether it still turns: the largest value that the option takes, 24 days.
MAX_IDLE_MS: Final = 2**31 - 1

#: The cluster answered and refuses us: trying again cannot help.
FINAL_ERRORS: Final = (
    AuthenticationFailedError,
    AuthenticationMethodNotSupported,
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    InconsistentGroupProtocolError,
    IncompatibleBrokerVersion,
    InvalidGroupIdError,
    InvalidSessionTimeoutError,
    InvalidTopicError,
    PolicyViolationError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    UnsupportedSaslMechanismError,
)

#: Heartbeats within a session timeout, as Kafka's documentation advises.
HEARTBEATS: Final = 3


async def _retried(what: str, work: Callable[[], Awaitable[T]]) -> T:
    """`work` until it succeeds; says once, and then at longer and longer intervals, why it does not."""
    delay = FIRST_RETRY_SECONDS
    while True:
        try:
            return await work()
        except (KafkaError, OSError, TimeoutError) as error:
            if _is_final(error):
                raise HostError(f"{what}: {error}") from error
            log.warning("%s: %s; trying again in %.1f s", what, error or type(error).__name__, delay)
        await asyncio.sleep(delay)
        delay = min(delay * 2, LAST_RETRY_SECONDS)


def _is_final(error: BaseException) -> bool:
    """Whether trying again cannot help: the cluster answered, and refuses us."""
    return isinstance(error, FINAL_ERRORS)


def _named(error: BaseException) -> Exception:
    """Our name for an error of aiokafka."""
    return (HostError if _is_final(error) else Unavailable)(f"Kafka: {str(error) or type(error).__name__}")


@asynccontextmanager
async def _administering(options: KafkaOptions) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(
        bootstrap_servers=list(options.bootstrap),
        request_timeout_ms=int(options.request_timeout * 1000),
        **options.security(),
    )
    try:
        await admin.start()
        yield admin
    finally:
        await admin.close()


async def _ensure(options: KafkaOptions, topics: Iterable[str]) -> None:
    """Make the topics that are missing. Safe when several stages do it at once."""
    async with _administering(options) as admin:
        there = set(await admin.list_topics())
        missing = {
            topic: Shape(partitions_of(topic, options.partitions), options.replication, configs_of(topic))
            for topic in topics
            if topic not in there
        }
        if missing:
            await _make(admin, missing)


async def _make(admin: AIOKafkaAdminClient, topics: Mapping[str, Shape]) -> None:
    """Make topics; one that somebody else has made meanwhile is no error. Raises KafkaError."""
    answer = await admin.create_topics(
        [
            NewTopic(topic, shape.partitions, shape.replication, topic_configs=dict(shape.configs))
            for topic, shape in topics.items()
        ]
    )
    for topic, code, *message in answer.topic_errors:
        kind = _error_of(code)
        if code and kind is not TopicAlreadyExistsError:
            raise kind(f"topic {topic}: {message[0] if message else ''}")


def _looker(options: KafkaOptions) -> AIOKafkaConsumer:
    """A consumer of no group."""
    return AIOKafkaConsumer(
        bootstrap_servers=list(options.bootstrap),
        client_id="longline-look",
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        request_timeout_ms=int(options.request_timeout * 1000),
        **options.security(),
    )


async def look(options: KafkaOptions, topic: str) -> AsyncIterator[Chunk]:
    """All that stands in a topic now. Raises Unavailable, HostError."""
    consumer = _looker(options)
    try:
        async with asyncio.timeout(options.request_timeout):
            partitions = await _partitions(options, topic)
            if not partitions:
                return
            await consumer.start()
            first, end = await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
        left = {tp for tp in partitions if first[tp] < end[tp]}
        consumer.assign(sorted(left))
        while left:
            found = await consumer.getmany(timeout_ms=int(LOOK_SECONDS * 1000))
            for tp, records in found.items():
                for record in records:
                    if record.offset < end[tp]:
                        headers = dict(record.headers) if record.headers else None
                        lines = split(record.value, headers) if record.value is not None else []
                        yield Chunk(topic, tp.partition, record.offset, record.offset + 1, lines, headers)
            for tp in list(left):
                if await consumer.position(tp) >= end[tp]:
                    left.discard(tp)
    except (KafkaError, TimeoutError) as error:
        raise _named(error) from error
    finally:
        await _close(consumer)


class KafkaBroadcast:
    """Reads a topic alone, all of its partitions, from the beginning."""

    def __init__(self, options: KafkaOptions, topic: str) -> None:
        self._options = options
        self._topic = topic
        self._consumer: Any = None
        self._left: dict[TopicPartition, int] = {}  # where each partition ended at the start, as far as it is not there

    async def start(self) -> None:
        consumer = _looker(self._options)
        try:
            async with asyncio.timeout(self._options.request_timeout):
                await _ensure(self._options, [self._topic])
                partitions = await _partitions(self._options, self._topic)
                await consumer.start()
                first, end = await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
            consumer.assign(partitions)
            for tp in partitions:
                consumer.seek(tp, first[tp])
        except (KafkaError, OSError, TimeoutError) as error:
            await _close(consumer)
            raise _named(error) from error
        except BaseException:
            await _close(consumer)
            raise
        self._consumer = consumer
        self._left = {tp: end[tp] for tp in partitions if first[tp] < end[tp]}

    async def poll(self, timeout: float) -> list[Chunk]:
        try:
            found = await self._consumer.getmany(timeout_ms=int(timeout * 1000))
            for tp in list(self._left):
                if await self._consumer.position(tp) >= self._left[tp]:
                    del self._left[tp]
        except (KafkaError, TimeoutError) as error:
            raise _named(error) from error
        return [
            Chunk(self._topic, tp.partition, record.offset, record.offset + 1, split(record.value))
            for tp, records in found.items()
            for record in records
            if record.value is not None
        ]

    @property
    def caught_up(self) -> bool:
        return self._consumer is not None and not self._left

    async def close(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await _close(consumer)


async def _partitions(options: KafkaOptions, topic: str) -> list[TopicPartition]:
    """Those of a topic; none where there is no such topic, which is not made."""
    async with _administering(options) as admin:
        if topic not in await admin.list_topics():
            return []
        (described,) = await admin.describe_topics([topic])
        return [TopicPartition(topic, part["partition"]) for part in described["partitions"]]


def _behind(first: Mapping[Any, int], end: Mapping[Any, int], done: Mapping[Any, int]) -> int:
    """Offsets that stand there and are not committed, of all partitions of `end`."""
    return sum(max(0, end[tp] - max(first[tp], done.get(tp, 0))) for tp in end)


class KafkaTopics:
    """The topics of a cluster, looked at and changed (`stages.core.bus.topic_plan`)."""

    def __init__(self, options: KafkaOptions) -> None:
        self._options = options

    async def found(self, names: Iterable[str]) -> dict[str, Shape]:
        """Those of `names` that there are. Raises Unavailable, HostError."""
        async with self._asking() as admin:
            there = set(await admin.list_topics()) & set(names)
            return await self._described(admin, sorted(there)) if there else {}

    async def apply(self, steps: Sequence[Step], wanted: Mapping[str, Shape]) -> None:
        """Take the steps that are not to be taken by hand. Raises Unavailable, HostError."""
        new = {step.topic: wanted[step.topic] for step in steps if step.what == TOPIC}
        changed: dict[str, dict[str, str]] = {}
        for step in steps:
            if not step.by_hand and step.what != TOPIC:
                changed.setdefault(step.topic, {})[step.what] = step.wanted
        async with self._asking() as admin:
            if new:
                await _make(admin, new)
            if changed:
                await self._alter(admin, changed)

    async def holding(self, groups: Mapping[str, Sequence[str]]) -> list[Holding]:
        """What is not drained, of groups and the topics that each reads. Raises Unavailable, HostError."""
        held: list[Holding] = []
        consumer = _looker(self._options)
        async with self._asking() as admin, AsyncExitStack() as closing:
            closing.push_async_callback(_close, consumer)
            await consumer.start()
            there = set(await admin.list_topics())
            for group, topics in groups.items():
                answer = await self._group(admin, group)
                members = sum(len(described[_MEMBERS]) for described in answer.groups)
                done = await admin.list_consumer_group_offsets(group)
                for topic in (topic for topic in topics if topic in there):
                    (described,) = await admin.describe_topics([topic])
                    partitions = [TopicPartition(topic, part["partition"]) for part in described["partitions"]]
                    first, end = await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
                    at = {tp: done[tp].offset for tp in partitions if tp in done and done[tp].offset >= 0}
                    behind = _behind(first, end, at)
                    if behind or members:
                        known = bool(members or at)
                        held.append(Holding(group, topic, behind, members, known))
        return held

    async def _group(self, admin: AIOKafkaAdminClient, group: str) -> Any:
        """Its description. A cluster that had no group yet makes the topic of groups at the first question."""
        async with asyncio.timeout(self._options.request_timeout):
            while True:
                try:
                    (answer,) = await admin.describe_consumer_groups([group])
                    return answer
                except GroupCoordinatorNotAvailableError:
                    await asyncio.sleep(FIRST_RETRY_SECONDS)

    async def grow(self, partitions: Mapping[str, int]) -> None:
        """Give topics more partitions. Raises Unavailable, HostError."""
        async with self._asking() as admin:
            answer = await admin.create_partitions({topic: NewPartitions(n) for topic, n in partitions.items()})
            for topic, code, message in answer.topic_errors:
                if code:
                    raise _error_of(code)(f"topic {topic}: {message or ''}")

    async def _alter(self, admin: AIOKafkaAdminClient, changed: Mapping[str, Mapping[str, str]]) -> None:
        kept = await self._overridden(admin, sorted(changed))
        resources = [
            # The request replaces all settings of a topic: those that somebody else has set are said again.
            ConfigResource(ConfigResourceType.TOPIC, topic, configs={**kept[topic], **configs})
            for topic, configs in changed.items()
        ]
        for answer in await admin.alter_configs(resources):
            for code, message, _, topic in answer.resources:
                if code:
                    raise _error_of(code)(f"topic {topic}: {message or ''}")

    async def _described(self, admin: AIOKafkaAdminClient, names: list[str]) -> dict[str, Shape]:
        configs = await self._configs(admin, names)
        return {
            one["topic"]: Shape(
                len(one["partitions"]),
                min(len(part["replicas"]) for part in one["partitions"]),
                {name: value for name, (value, _) in configs[one["topic"]].items()},
            )
            for one in await admin.describe_topics(names)
        }

    async def _overridden(self, admin: AIOKafkaAdminClient, names: list[str]) -> dict[str, dict[str, str]]:
        """Of each topic, the settings that are its own."""
        configs = await self._configs(admin, names)
        return {
            topic: {name: value for name, (value, own) in settings.items() if own}
            for topic, settings in configs.items()
        }

    async def _configs(self, admin: AIOKafkaAdminClient, names: list[str]) -> dict[str, dict[str, tuple[str, bool]]]:
        """topic -> setting -> (value in force, whether it is the topic's own)."""
        found: dict[str, dict[str, tuple[str, bool]]] = {}
        for answer in await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in names]):
            for code, message, _, topic, entries in answer.resources:
                if code:
                    raise _error_of(code)(f"topic {topic}: {message or ''}")
                found[topic] = {name: (value or "", source == _TOPICS_OWN) for name, value, _, source, *_ in entries}
        return found

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[AIOKafkaAdminClient]:
        try:
            async with _administering(self._options) as admin:
                yield admin
        except (KafkaError, TimeoutError) as error:
            raise _named(error) from error


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is not typed
    def __init__(self, source: KafkaSource) -> None:
        self._source = source

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        await self._source._revoked(revoked)

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        self._source._assigned(assigned)


class KafkaSource:
    """One member of a group."""

    def __init__(self, options: KafkaOptions, topics: Sequence[str], group: str) -> None:
        self.options = options
        self.topics = tuple(topics)
        self.group = group
        self.share = 1.0  #: of the partitions, which is ours
        self._consumer: Any = None
        self._on_revoke: OnRevoke | None = None
        self._owned: frozenset[Partition] = frozenset()
        self._reading = False  # False from the moment the partitions are asked back
        self._epoch = 0  # of the assignment
        self._waiting: deque[Chunk] = deque()  # fetched and not yet handed out
        self._per_message = 1.0  # records in a message, of late
        self._fetch: asyncio.Task[tuple[int, dict[Any, list[Any]]]] | None = None
        self._paused = False
        self._reachable = True
        self._probe: asyncio.Task[None] | None = None
        self._heard = 0.0

    async def start(self, on_revoke: OnRevoke) -> None:
        self._on_revoke = on_revoke
        what = f"Kafka at {','.join(self.options.bootstrap)}"
        await _retried(what, self._join)
        self._heard = asyncio.get_running_loop().time()

    async def _join(self) -> None:
        options = self.options
        await _ensure(options, self.topics)
        consumer = AIOKafkaConsumer(
            bootstrap_servers=list(options.bootstrap),
            client_id=f"longline-{self.group}",
            group_id=self.group,
            group_instance_id=options.member,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=PARTITION_FETCH_BYTES,
            fetch_max_bytes=FETCH_BYTES,
            request_timeout_ms=int((options.request_timeout + options.rebalance_timeout) * 1000),
            session_timeout_ms=int(options.session_timeout * 1000),
            heartbeat_interval_ms=int(options.session_timeout * 1000 / HEARTBEATS),
            rebalance_timeout_ms=int(options.rebalance_timeout * 1000),
            max_poll_interval_ms=MAX_IDLE_MS,
            **options.security(),
        )
        try:
            consumer.subscribe(self.topics, listener=_Listener(self))
            self._consumer = consumer
            await consumer.start()
        except BaseException:
            self._consumer = None
            await _close(consumer)
            raise

    async def _revoked(self, revoked: Iterable[TopicPartition]) -> None:
        self._reading = False
        self._epoch += 1
        self._waiting.clear()
        partitions = sorted((tp.topic, tp.partition) for tp in revoked)
        try:
            if partitions and self._on_revoke is not None:
                async with asyncio.timeout(self.options.rebalance_timeout):
                    await self._on_revoke(partitions)
        except TimeoutError:
            log.error("giving %d partitions up took too long: others do their work again", len(partitions))
        finally:
            self._owned = frozenset()

    def _assigned(self, assigned: Iterable[TopicPartition]) -> None:
        if self._consumer is None:  # closed while it joined: they go to others as it leaves
            return
        self._owned = frozenset((tp.topic, tp.partition) for tp in assigned)
        every = sum(len(self._consumer.partitions_for_topic(topic) or ()) for topic in self.topics)
        self.share = len(self._owned) / every if every else 1.0
        self._epoch += 1
        self._reading = True
        if self._paused:
            self._consumer.pause(*self._consumer.assignment())
        log.info("group %s: %d partitions are ours", self.group, len(self._owned))

    async def poll(self, max_records: int, timeout: float) -> list[Chunk]:
        if max_records <= 0 or self._consumer is None:
            self._pause(True)
            await asyncio.sleep(timeout)
            return []
        self._pause(False)
        if not self._waiting:
            await self._fetch_some(max_records, timeout)
        taken: list[Chunk] = []
        left = max_records
        while self._waiting and left > 0:
            chunk = self._waiting.popleft()
            taken.append(chunk)
            left -= max(1, len(chunk.lines))
        return taken

    async def _fetch_some(self, max_records: int, timeout: float) -> None:
        if self._fetch is None:
            messages = max(1, int(max_records / self._per_message))
            self._fetch = asyncio.create_task(self._get(messages, timeout), name="kafka-fetch")
        fetch = self._fetch
        await asyncio.wait({fetch}, timeout=timeout)
        loop = asyncio.get_running_loop()
        if not fetch.done():
            self._look(loop.time())
            return
        if self._fetch is not fetch:  # another poll has taken it
            return
        self._fetch = None
        try:
            epoch, found = fetch.result()
        except (ConsumerStoppedError, asyncio.CancelledError):  # closed meanwhile
            return
        except KafkaError as error:
            raise _named(error) from error
        if epoch != self._epoch or not self._reading:
            return
        if not found:
            self._look(loop.time())
            return
        self._heard = loop.time()
        self._reachable = True
        messages = lines = 0
        append = self._waiting.append
        for tp, records in found.items():
            topic, partition = tp.topic, tp.partition
            messages += len(records)
            for record in records:
                headers = dict(record.headers) if record.headers else None
                value = record.value
                chunk_lines = split(value, headers) if value is not None else []
                lines += len(chunk_lines)
                offset = record.offset
                append(Chunk(topic, partition, offset, offset + 1, chunk_lines, headers, record.timestamp / 1e3))
        self._per_message = max(1.0, lines / messages)

    async def _get(self, messages: int, timeout: float) -> tuple[int, dict[Any, list[Any]]]:
        found = await self._consumer.getmany(timeout_ms=int(timeout * 1000), max_records=messages)
        return self._epoch, found

    def _pause(self, paused: bool) -> None:
        if paused == self._paused or self._consumer is None:
            return
        self._paused = paused
        ours = self._consumer.assignment()
        if paused:
            self._consumer.pause(*ours)
        else:
            self._consumer.resume(*ours)

    def _look(self, now: float) -> None:
        """Nothing has come: now and then ask whether the cluster is still there."""
        if now - self._heard < PROBE_SECONDS or not self._owned or self._probe is not None:
            return
        self._heard = now
        self._probe = asyncio.create_task(self._ask(), name="kafka-probe")

    async def _ask(self) -> None:
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                await self._consumer.end_offsets([TopicPartition(*next(iter(self._owned)))])
        except (KafkaError, TimeoutError, StopIteration) as error:
            if self._reachable:
                log.warning("Kafka does not answer: %s", error or type(error).__name__)
            self._reachable = False
        else:
            if not self._reachable:
                log.info("Kafka answers again")
            self._reachable = True
        finally:
            self._probe = None

    async def commit(self, positions: Mapping[Partition, int]) -> None:
        ours = {TopicPartition(*at): offset for at, offset in positions.items() if at in self._owned}
        if not ours or self._consumer is None:
            return
        try:
            async with asyncio.timeout(self.options.request_timeout):
                await self._consumer.commit(ours)
        except (CommitFailedError, IllegalStateError) as error:
            log.info("commit of %d partitions refused, they are not ours any more: %s", len(ours), error)
        except TimeoutError:
            self._reachable = False
            raise Unavailable(f"Kafka: no answer to a commit in {self.options.request_timeout:g} s") from None
        except KafkaError as error:
            raise _named(error) from error

    async def lag(self) -> int:
        consumer = self._consumer
        if consumer is None:
            return 0
        try:
            async with asyncio.timeout(self.options.request_timeout):
                partitions = [
                    TopicPartition(topic, number)
                    for topic in self.topics
                    for number in consumer.partitions_for_topic(topic) or ()
                ]
                first = await consumer.beginning_offsets(partitions)
                end = await consumer.end_offsets(partitions)
                done = await asyncio.gather(*[consumer.committed(tp) for tp in partitions])
        except (KafkaError, TimeoutError) as error:
            raise Unavailable(f"Kafka: {error or 'no answer'}") from error
        return _behind(first, end, {tp: at for tp, at in zip(partitions, done, strict=True) if at is not None})

    @property
    def ended(self) -> bool:
        return False

    @property
    def ready(self) -> bool:
        return self._reading and self._reachable

    async def close(self) -> None:
        consumer, self._consumer = self._consumer, None
        self._reading = False
        self._owned = frozenset()
        for task in (self._fetch, self._probe):
            if task is not None:
                task.cancel()
                await asyncio.wait({task})
        self._fetch = None
        if consumer is not None:
            await _close(consumer)


class KafkaTail:
    """Reads one partition from its end on, of no group: nobody waits for a member that was killed."""

    def __init__(self, options: KafkaOptions, topic: str, key: bytes) -> None:
        self.options, self.topic, self.key = options, topic, key
        self._consumer: Any = None

    async def start(self) -> None:
        await _retried(f"Kafka at {','.join(self.options.bootstrap)}", self._join)

    async def _join(self) -> None:
        options = self.options
        async with asyncio.timeout(options.request_timeout):
            await _ensure(options, [self.topic])
            partitions = await _partitions(options, self.topic)
        if not partitions:  # a broker knows of what another one has just made a little later
            raise UnknownTopicOrPartitionError(f"there is no topic {self.topic}")
        consumer = AIOKafkaConsumer(
            bootstrap_servers=list(options.bootstrap),
            client_id="longline-tail",
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="latest",  # what was deleted while we were away is too old for us
            max_partition_fetch_bytes=PARTITION_FETCH_BYTES,
            request_timeout_ms=int(options.request_timeout * 1000),
            **options.security(),
        )
        try:
            async with asyncio.timeout(options.request_timeout):
                await consumer.start()
                mine = TopicPartition(self.topic, partition_of(self.key, len(partitions)))
                consumer.assign([mine])
                await consumer.seek_to_end(mine)
                await consumer.position(mine)
        except BaseException:
            await _close(consumer)
            raise
        self._consumer = consumer

    async def poll(self, timeout: float) -> list[Chunk]:
        if self._consumer is None:
            await asyncio.sleep(timeout)
            return []
        try:
            found = await self._consumer.getmany(timeout_ms=int(timeout * 1000))
        except ConsumerStoppedError:
            return []
        except KafkaError as error:
            raise _named(error) from error
        return [
            Chunk(tp.topic, tp.partition, record.offset, record.offset + 1, split(record.value or b""))
            for tp, records in found.items()
            for record in records
        ]

    async def close(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await _close(consumer)


async def _close(client: Any) -> None:
    """Close a client of aiokafka, within CLOSE_SECONDS."""
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await client.stop()
    except (KafkaError, OSError, TimeoutError) as error:
        log.warning("closing a Kafka client: %s", str(error) or "took too long")


class KafkaPublisher:
    """Writes to the cluster."""

    def __init__(self, options: KafkaOptions, topics: Sequence[str] = ()) -> None:
        self.options = options
        self.topics = tuple(topics)
        self._producer: Any = None
        self._counts: dict[str, int] = {}  # partitions of each topic known to exist
        self._turn = asyncio.Lock()
        self._under_way: tuple[Sequence[Output], list[asyncio.Future[Any]]] | None = None
        self._failing = False

    async def start(self) -> None:
        await _retried(f"Kafka at {','.join(self.options.bootstrap)}", self._connect)

    async def _connect(self) -> None:
        options = self.options
        if self.topics:
            await _ensure(options, self.topics)
        producer = AIOKafkaProducer(
            bootstrap_servers=list(options.bootstrap),
            client_id="longline",
            enable_idempotence=True,
            acks="all",
            linger_ms=0,  # a batch of ours is full when it is handed over
            max_batch_size=MAX_BATCH_BYTES,
            max_request_size=MAX_DEAD_BYTES + MAX_MESSAGE_BYTES,
            request_timeout_ms=int(options.request_timeout * 1000),
            **options.security(),
        )
        try:
            async with asyncio.timeout(options.request_timeout):
                await producer.start()
                for topic in self.topics:
                    self._counts[topic] = len(await producer.partitions_for(topic))
        except BaseException:
            await _abandon(producer)
            raise
        self._producer = producer
        self._failing = False

    async def _count(self, topic: str) -> None:
        """Learn how many partitions a topic has; make it if it is missing."""
        await _ensure(self.options, [topic])
        self._counts[topic] = len(await self._producer.partitions_for(topic))

    async def publish(self, outputs: Sequence[Output]) -> None:
        if not outputs:
            return
        async with self._turn:
            if self._under_way is not None and not _same(self._under_way[0], outputs):
                await self._drop()
            try:
                async with asyncio.timeout(self.options.request_timeout):
                    if self._under_way is None:
                        await self._hand_over(outputs)
                    assert self._under_way is not None
                    await self._acknowledged(self._under_way[1])
            except TimeoutError:
                self._failing = True
                raise Unavailable(f"Kafka: not acknowledged in {self.options.request_timeout:g} s") from None
            except MessageSizeTooLargeError as error:
                await self._drop()
                raise HostError(f"Kafka refuses a message as too large: {error}") from error
            except (KafkaError, OSError) as error:
                await self._drop()
                raise _named(error) from error
            self._under_way = None
            self._failing = False

    async def _hand_over(self, outputs: Sequence[Output]) -> None:
        """Give all outputs to aiokafka; `_under_way` holds them only when all are."""
        if self._producer is None:
            await self._connect()
        for topic in {output.topic for output in outputs}:
            if topic not in self._counts:
                await self._count(topic)
        queues: deque[tuple[str, int, deque[Any]]] = deque()
        for (topic, number), held in by_partition(outputs, self._counts.__getitem__).items():
            queues.append((topic, number, self._batches(held)))
        futures: list[asyncio.Future[Any]] = []
        try:
            while queues:  # one batch of each partition, then the next of each: aiokafka takes one at a time
                topic, number, batches = queues.popleft()
                futures.append(await self._producer.send_batch(batches.popleft(), topic, partition=number))
                if batches:
                    queues.append((topic, number, batches))
        except BaseException:
            for future in futures:
                future.cancel()
            await self._drop()
            raise
        self._under_way = (outputs, futures)

    def _batches(self, outputs: Sequence[Output]) -> deque[Any]:
        """Full batches of aiokafka for the outputs of one partition."""
        batches: deque[Any] = deque()
        batch = self._producer.create_batch()
        for key, value, headers in joined(outputs, self.options.batch_lines):
            pairs = list(headers.items()) if headers else []
            if batch.append(timestamp=None, key=key, value=value, headers=pairs) is None:
                batch.close()
                batches.append(batch)
                batch = self._producer.create_batch()
                batch.append(timestamp=None, key=key, value=value, headers=pairs)
        batch.close()
        batches.append(batch)
        return batches

    async def _acknowledged(self, futures: list[asyncio.Future[Any]]) -> None:
        pending = [future for future in futures if not future.done()]
        if pending:
            await asyncio.wait(pending)
        errors = [error for future in futures if (error := future.exception()) is not None]
        if errors:
            raise errors[0]

    async def _drop(self) -> None:
        """End this producer with what it has not delivered."""
        self._failing = True
        producer, self._producer = self._producer, None
        if self._under_way is not None:
            for future in self._under_way[1]:
                future.cancel()
            self._under_way = None
        if producer is not None:
            await _abandon(producer)

    async def settle(
        self, outputs: Sequence[Output], source: Source | None, positions: Mapping[Partition, int]
    ) -> None:
        await self.publish(outputs)
        if source is not None and positions:
            await source.commit(positions)

    @property
    def ready(self) -> bool:
        return self._producer is not None and not self._failing

    async def close(self) -> None:
        if self._under_way is not None:
            await self._drop()
        producer, self._producer = self._producer, None
        if producer is not None:
            await _close(producer)


def _same(before: Sequence[Output], now: Sequence[Output]) -> bool:
    return len(before) == len(now) and all(map(is_, before, now))


async def _abandon(producer: Any) -> None:
    """Close a producer without waiting for what it cannot deliver. aiokafka's `stop` waits for that; so it is failed
    first, in its accumulator: there is no public way."""
    producer._message_accumulator.fail_all(KafkaError("given up"))
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await producer.stop()
    except (KafkaError, OSError, TimeoutError, KeyError) as error:  # KeyError: its bookkeeping of the failed batches
        log.debug("ending a producer: %r", error)
        await producer.client.close()
