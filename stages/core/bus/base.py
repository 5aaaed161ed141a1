"""The contract of a log: `Source` reads it, `Publisher` writes it, `settle` does both in the right order.

Delivery is at least once. An input is committed only after its results are acknowledged; positions committed are
those of the contiguous finished prefix of a partition (`stages.core.offsets`). One contract test suite
(`tests/core/bus/contract.py`) holds for every transport.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from zlib import crc32

#: (topic, partition)
Partition = tuple[str, int]

#: Partitions of a topic unless it exists with another number: at least the consumers one expects, times two.
DEFAULT_PARTITIONS = 16


@dataclass(slots=True, frozen=True)
class Topics:
    """Names of the topics, for one prefix."""

    prefix: str = "longline"

    @property
    def hits(self) -> str:
        return f"{self.prefix}.hits.v1"

    def hits_of(self, scanner: str) -> str:
        """Hits whose connections are continued on that scanner's host."""
        return f"{self.prefix}.hits.{scanner}.v1"

    @property
    def banners(self) -> str:
        return f"{self.prefix}.banners.v1"

    @property
    def tls(self) -> str:
        return f"{self.prefix}.tls.v1"

    @property
    def scans(self) -> str:
        return f"{self.prefix}.scans.v1"

    @property
    def events(self) -> str:
        """What happened to services (`stages.core.events`)."""
        return f"{self.prefix}.events.v1"

    @property
    def dead(self) -> str:
        return f"{self.prefix}.dead.v1"

    @property
    def orders(self) -> str:
        """Standing orders (`stages.core.orders`), for everybody."""
        return f"{self.prefix}.orders.v1"

    def later(self, stage: str) -> str:
        return f"{self.prefix}.{stage}.later.v1"

    @property
    def agents(self) -> str:
        """Signs of life of a fleet's agents."""
        return f"{self.prefix}.agents.v1"

    @property
    def claims(self) -> str:
        """What agents ask for, and say of what they have."""
        return f"{self.prefix}.claims.v1"

    @property
    def work(self) -> str:
        """What is answered to agents."""
        return f"{self.prefix}.work.v1"


@dataclass(slots=True)
class Chunk:
    """What stands at one offset of a partition: one record, or many as JSON Lines.

    `lines` are the records as they stood in the log, without their line ends, blank lines left out. `next_offset` is
    what to commit when all of them are done. `headers` are those of the message, `since` is when it was written, in
    seconds since the epoch, where the log knows that.
    """

    topic: str
    partition: int
    offset: int
    next_offset: int
    lines: list[bytes]
    headers: Mapping[str, bytes] | None = None
    since: float | None = None


@dataclass(slots=True)
class Output:
    """One record to publish. `key` chooses the partition (crc32, `partition_of`); `value` is one line, or any bytes
    where `headers` say what they are (dead letters carry their original bytes untouched)."""

    topic: str
    key: bytes
    value: bytes
    headers: Mapping[str, bytes] | None = None


def partition_of(key: bytes, partitions: int) -> int:
    """Our own partitioning, the same in every transport."""
    return crc32(key) % partitions


#: Called before partitions are taken away: stop their intake, finish or drop what is in flight, settle, return.
OnRevoke = Callable[[Sequence[Partition]], Awaitable[None]]


class Source(Protocol):
    """Reads topics as one consumer of a group."""

    async def start(self, on_revoke: OnRevoke) -> None:
        """Connect and join. Raises Unavailable only if `patience` of the transport is over; logs and retries before."""

    async def poll(self, max_records: int, timeout: float) -> list[Chunk]:
        """Chunks not yet seen by this consumer, in order within a partition, about `max_records` lines in all.

        Waits at most `timeout` seconds for the first one; [] when there is none. `max_records` 0 keeps the
        membership alive without reading (all partitions are paused). Never returns a partition that was revoked.
        """

    async def commit(self, positions: Mapping[Partition, int]) -> None:
        """Record that everything before each position is done. Partitions no longer owned are ignored."""

    async def lag(self) -> int:
        """Offsets between what is committed and the end, over all partitions of the topics (whole group)."""

    @property
    def ended(self) -> bool:
        """Nothing will ever come again (a pipe at its end). Logs never end."""

    @property
    def ready(self) -> bool:
        """Connected, and partitions assigned."""

    async def close(self) -> None:
        """Leave the group. Commits nothing."""


class Tail(Protocol):
    """Reads what comes for one key, from now on: a partition of one topic, as a member of no group."""

    async def start(self) -> None:
        """Connect: what is published after this returns will be seen. Raises as `Source.start`."""

    async def poll(self, timeout: float) -> list[Chunk]:
        """What has come, in order; after `timeout` seconds without anything []. Others' keys may share the
        partition. Raises Unavailable."""

    async def close(self) -> None: ...


class Broadcast(Protocol):
    """Reads the whole of one topic, for itself alone: in no group, nothing is committed, and nobody waits for it."""

    async def start(self) -> None:
        """Connect; the topic is made if it is missing. Raises Unavailable, HostError; it may be tried again."""

    async def poll(self, timeout: float) -> list[Chunk]:
        """What follows, from the topic's beginning, in order within a partition. Waits at most `timeout` seconds for
        it. Raises Unavailable: what comes next is not lost by that."""

    @property
    def caught_up(self) -> bool:
        """All that stood there at the start has been handed out."""

    async def close(self) -> None: ...


class Publisher(Protocol):
    """Writes to topics."""

    async def start(self) -> None: ...

    async def publish(self, outputs: Sequence[Output]) -> None:
        """Write all; return when all are acknowledged as durably as the transport can.

        Order within a partition is the order of `outputs`. Waits while the log is at its bound (back-pressure).
        Raises Unavailable when it may be tried again as a whole (records may then stand twice), RecordError never.
        """

    async def settle(
        self, outputs: Sequence[Output], source: Source | None, positions: Mapping[Partition, int]
    ) -> None:
        """Publish, then commit; in one transaction where source and publisher are one file."""

    @property
    def ready(self) -> bool: ...

    async def close(self) -> None:
        """Flush, then close."""
