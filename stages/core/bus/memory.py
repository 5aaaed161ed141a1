"""Logs in the memory of this process, with everything a broker does to its clients: for tests, and where a process
hands records to itself.

A `MemoryBus` holds named logs of partitions, and consumer groups with members. Joining and leaving rebalance a group
eagerly, as aiokafka does: every member is asked to give back all it owns (`on_revoke`), then partitions are dealt anew
and read from what the group has committed. Faults are ordered, not random: `fail` makes the next publish, commit or
poll fail before or after its effect, `outage` takes the whole bus away, `MemorySource.crash` is a consumer that dies
without a word, `rebalance` moves the partitions at will.

    bus = MemoryBus.named("test")
    source, publisher = bus.source(["hits"], "grab"), bus.publisher()

Records are kept for the life of the bus, so that a test can look at all of them; with `keep` False only until all
groups have committed them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import ClassVar, Final, Literal

from stages.core.bus.base import DEFAULT_PARTITIONS, Chunk, OnRevoke, Output, Partition, Source, partition_of
from stages.core.bus.batching import Headers, by_partition, joined, split
from stages.core.bus.topics import is_exempt
from stages.core.errors import Unavailable

log = logging.getLogger("longline.bus.memory")

Step = Literal["publish", "commit", "poll"]


@dataclass(slots=True, frozen=True)
class Message:
    """What stands at one offset."""

    key: bytes
    value: bytes
    headers: Headers | None


_GONE: Final = Message(b"", b"", None)


@dataclass(slots=True)
class _Fault:
    step: Step
    times: int
    after: bool
    error: Callable[[str], Exception]


@dataclass(slots=True)
class _Group:
    committed: dict[Partition, int] = field(default_factory=dict)
    topics: set[str] = field(default_factory=set)
    members: list[MemorySource] = field(default_factory=list)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    turn: int = 0  #: rotates the assignment, so that a rebalance moves partitions


class MemoryBus:
    """Logs, groups and faults. `bound` is the most messages a topic holds that its slowest group has not committed."""

    _named: ClassVar[dict[str, MemoryBus]] = {}

    def __init__(self, partitions: int = DEFAULT_PARTITIONS, bound: int | None = None, *, keep: bool = True) -> None:
        self.partitions = partitions
        self.bound = bound
        self._keep = keep
        self._let_go: dict[Partition, int] = {}  # offset before which nothing is kept
        self._logs: dict[str, list[list[Message]]] = {}
        self._groups: dict[str, _Group] = {}
        self._faults: list[_Fault] = []
        self._up = asyncio.Event()
        self._up.set()
        self._room = asyncio.Event()
        self._tails: set[MemoryTail] = set()

    @classmethod
    def named(cls, name: str, partitions: int = DEFAULT_PARTITIONS) -> MemoryBus:
        """The bus of this name in this process (`memory:NAME`), made at the first call."""
        bus = cls._named.get(name)
        if bus is None:
            bus = cls._named[name] = cls(partitions)
        return bus

    @classmethod
    def forget(cls, name: str) -> None:
        """Let go of a named bus; who holds it keeps it."""
        cls._named.pop(name, None)

    def source(self, topics: Sequence[str], group: str) -> MemorySource:
        return MemorySource(self, topics, group)

    def tail(self, topic: str, key: bytes) -> MemoryTail:
        return MemoryTail(self, topic, partition_of(key, self.partitions))

    def broadcast(self, topic: str) -> MemoryBroadcast:
        return MemoryBroadcast(self, topic)

    def publisher(self, batch_lines: int = 1) -> MemoryPublisher:
        return MemoryPublisher(self, batch_lines)

    # --- looking in

    def log(self, topic: str) -> list[list[Message]]:
        """The partitions of a topic; an unknown topic is made."""
        log_ = self._logs.get(topic)
        if log_ is None:
            log_ = self._logs[topic] = [[] for _ in range(self.partitions)]
        return log_

    def messages(self, topic: str) -> list[Message]:
        """Every message of a topic, partition after partition."""
        return [message for partition in self.log(topic) for message in partition]

    def lines(self, topic: str) -> list[bytes]:
        """Every record of a topic, partition after partition."""
        return [line for message in self.messages(topic) for line in split(message.value, message.headers)]

    def committed(self, group: str) -> dict[Partition, int]:
        """What a group has committed."""
        return dict(self._group(group).committed)

    def lag(self, group: str) -> int:
        held = self._group(group)
        return sum(
            len(messages) - held.committed.get((topic, number), 0)
            for topic in held.topics
            for number, messages in enumerate(self.log(topic))
        )

    # --- faults

    def fail(
        self, step: Step, times: int = 1, *, after: bool = False, error: Callable[[str], Exception] = Unavailable
    ) -> None:
        """The next `times` calls of `step` raise; with `after` they take effect first, as when an answer is lost."""
        self._faults.append(_Fault(step, times, after, error))

    @contextmanager
    def outage(self) -> Iterator[None]:
        """Nobody reaches the bus: publish and commit raise Unavailable, poll finds nothing, `ready` is False."""
        self._up.clear()
        try:
            yield
        finally:
            self._up.set()

    @property
    def up(self) -> bool:
        return self._up.is_set()

    async def rebalance(self, group: str) -> None:
        """Take all partitions from all members and deal them anew, each to another member where there are several."""
        held = self._group(group)
        async with held.lock:
            await self._revoke(held)
            held.turn += 1
            self._assign(held)

    def _trip(self, step: Step, *, after: bool) -> None:
        for fault in self._faults:
            if fault.step == step and fault.after == after:
                fault.times -= 1
                if fault.times <= 0:
                    self._faults.remove(fault)
                raise fault.error(f"{step} failed on demand {'after' if after else 'before'} its effect")

    def _reach(self) -> None:
        if not self.up:
            raise Unavailable("the memory bus is out on demand")

    # --- groups

    def _group(self, name: str) -> _Group:
        group = self._groups.get(name)
        if group is None:
            group = self._groups[name] = _Group()
        return group

    async def _join(self, source: MemorySource) -> None:
        await self._up.wait()
        group = self._group(source.group)
        async with group.lock:
            await self._revoke(group)
            group.topics.update(source.topics)
            group.members.append(source)
            self._assign(group)

    async def _leave(self, source: MemorySource) -> None:
        group = self._group(source.group)
        async with group.lock:
            if source not in group.members:
                return
            group.members.remove(source)
            source._drop()
            await self._revoke(group)
            self._assign(group)

    async def _revoke(self, group: _Group) -> None:
        for member in list(group.members):
            await member._give_back()

    def _assign(self, group: _Group) -> None:
        for topic in sorted(group.topics):
            takers = [member for member in group.members if topic in member.topics]
            for number in range(self.partitions if takers else 0):
                at = (topic, number)
                member = takers[(number + group.turn) % len(takers)]
                member._positions[at] = group.committed.get(at, 0)
        for member in group.members:
            member._reading = True
            member._news.set()

    # --- records

    async def _append(self, outputs: Sequence[Output], batch_lines: int) -> None:
        self._reach()
        self._trip("publish", after=False)
        if self.bound is not None:
            for topic in {output.topic for output in outputs}:
                while self._full(topic):
                    self._room.clear()
                    await self._room.wait()
            self._reach()
        for (topic, number), held in by_partition(outputs, lambda _: self.partitions).items():
            self.log(topic)[number].extend(Message(*parts) for parts in joined(held, batch_lines))
        for group in self._groups.values():
            for member in group.members:
                member._news.set()
        for tail in self._tails:
            tail.news.set()
        self._trip("publish", after=True)

    def _full(self, topic: str) -> bool:
        if self.bound is None or is_exempt(topic):
            return False
        readers = [group.committed for group in self._groups.values() if topic in group.topics] or [{}]
        waiting = (
            sum(len(messages) - committed.get((topic, number), 0) for number, messages in enumerate(self.log(topic)))
            for committed in readers
        )
        return max(waiting) >= self.bound

    def _forget(self, at: Partition) -> None:
        """What every group has committed leaves its offset only."""
        topic, number = at
        readers = [group.committed.get(at, 0) for group in self._groups.values() if topic in group.topics]
        first, last = self._let_go.get(at, 0), min(readers, default=0)
        if last > first:
            self.log(topic)[number][first:last] = [_GONE] * (last - first)
            self._let_go[at] = last

    def _commit(self, group: str, positions: Mapping[Partition, int]) -> None:
        self._reach()
        self._trip("commit", after=False)
        self._group(group).committed.update(positions)
        if not self._keep:
            for at in positions:
                self._forget(at)
        self._room.set()
        self._trip("commit", after=True)


class MemorySource:
    """One member of a group."""

    def __init__(self, bus: MemoryBus, topics: Sequence[str], group: str) -> None:
        self.bus = bus
        self.topics = tuple(topics)
        self.group = group
        self._positions: dict[Partition, int] = {}  # owned partitions, and the next offset to hand out
        self._reading = False  # False from the moment the partitions are asked back
        self._news = asyncio.Event()
        self._turn = 0
        self._on_revoke: OnRevoke | None = None

    async def start(self, on_revoke: OnRevoke) -> None:
        self._on_revoke = on_revoke
        await self.bus._join(self)

    async def poll(self, max_records: int, timeout: float) -> list[Chunk]:
        self.bus._trip("poll", after=False)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while True:
            self._news.clear()
            chunks = self._take(max_records)
            left = deadline - loop.time()
            if chunks or left <= 0:
                return chunks
            try:
                async with asyncio.timeout(left):
                    await self._news.wait()
            except TimeoutError:
                return self._take(max_records)

    def _take(self, max_records: int) -> list[Chunk]:
        chunks: list[Chunk] = []
        if not self._reading or not self.bus.up or max_records <= 0:
            return chunks
        owned = list(self._positions)
        self._turn += 1  # another partition first each time, so that none starves
        left = max_records
        for i in range(len(owned)):
            topic, number = at = owned[(i + self._turn) % len(owned)]
            messages = self.bus.log(topic)[number]
            offset = self._positions[at]
            while left > 0 and offset < len(messages):
                message = messages[offset]
                lines = split(message.value, message.headers)
                chunks.append(Chunk(topic, number, offset, offset + 1, lines, message.headers))
                offset += 1
                left -= max(1, len(lines))
            self._positions[at] = offset
            if left <= 0:
                break
        return chunks

    async def commit(self, positions: Mapping[Partition, int]) -> None:
        owned = {at: offset for at, offset in positions.items() if at in self._positions}
        if owned:
            self.bus._commit(self.group, owned)

    async def lag(self) -> int:
        return self.bus.lag(self.group)

    @property
    def owned(self) -> list[Partition]:
        return sorted(self._positions)

    @property
    def share(self) -> float:
        """Part of the partitions that is ours."""
        return len(self._positions) / (len(self.topics) * self.bus.partitions)

    @property
    def ended(self) -> bool:
        return False

    @property
    def ready(self) -> bool:
        return self._reading and self.bus.up

    async def crash(self) -> None:
        """Die as by SIGKILL: `on_revoke` is not called, nothing is committed; the others take over."""
        self._on_revoke = None
        await self.bus._leave(self)

    async def close(self) -> None:
        await self.bus._leave(self)

    async def _give_back(self) -> None:
        self._reading = False
        if self._positions and self._on_revoke is not None:
            try:
                await self._on_revoke(self.owned)
            except Exception:  # as aiokafka does: a listener's error must not stop the group
                log.exception("on_revoke failed")
        self._positions.clear()

    def _drop(self) -> None:
        self._reading = False
        self._positions.clear()
        self._news.set()


class MemoryTail:
    """Reads one partition from its end on."""

    def __init__(self, bus: MemoryBus, topic: str, partition: int) -> None:
        self.bus, self.topic, self.partition = bus, topic, partition
        self.news = asyncio.Event()
        self._at = 0

    async def start(self) -> None:
        await self.bus._up.wait()
        self._at = len(self.bus.log(self.topic)[self.partition])
        self.bus._tails.add(self)

    async def poll(self, timeout: float) -> list[Chunk]:
        self.bus._trip("poll", after=False)
        if not (chunks := self._take()):
            self.news.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self.news.wait()
            chunks = self._take()
        return chunks

    def _take(self) -> list[Chunk]:
        if not self.bus.up:
            return []
        messages = self.bus.log(self.topic)[self.partition]
        first, self._at = self._at, len(messages)
        return [
            Chunk(self.topic, self.partition, at, at + 1, split(messages[at].value, messages[at].headers))
            for at in range(first, self._at)
        ]

    async def close(self) -> None:
        self.bus._tails.discard(self)


class MemoryPublisher:
    """Writes to the bus; acknowledged as soon as written."""

    def __init__(self, bus: MemoryBus, batch_lines: int = 1) -> None:
        self.bus = bus
        self.batch_lines = batch_lines

    async def start(self) -> None:
        await self.bus._up.wait()

    async def publish(self, outputs: Sequence[Output]) -> None:
        if outputs:
            await self.bus._append(outputs, self.batch_lines)

    async def settle(
        self, outputs: Sequence[Output], source: Source | None, positions: Mapping[Partition, int]
    ) -> None:
        await self.publish(outputs)
        if source is not None and positions:
            await source.commit(positions)

    @property
    def ready(self) -> bool:
        return self.bus.up

    async def close(self) -> None:
        return None


class MemoryBroadcast:
    """Reads a topic alone."""

    def __init__(self, bus: MemoryBus, topic: str) -> None:
        self._bus, self._topic = bus, topic
        self._at = [0] * bus.partitions
        self._ends: list[int] | None = None

    async def start(self) -> None:
        self._bus._reach()
        self._ends = [len(partition) for partition in self._bus.log(self._topic)]

    async def poll(self, timeout: float) -> list[Chunk]:
        self._bus._reach()
        if not (chunks := self._take()):
            await asyncio.sleep(timeout)
            chunks = self._take()
        return chunks

    def _take(self) -> list[Chunk]:
        chunks = []
        for number, partition in enumerate(self._bus.log(self._topic)):
            for at in range(self._at[number], len(partition)):
                message = partition[at]
                lines = split(message.value, message.headers)
                chunks.append(Chunk(self._topic, number, at, at + 1, lines, message.headers))
            self._at[number] = len(partition)
        return chunks

    @property
    def caught_up(self) -> bool:
        return self._ends is not None and all(at >= end for at, end in zip(self._at, self._ends, strict=True))

    async def close(self) -> None:
        return None
