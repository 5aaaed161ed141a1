"""Topics as code: what they should be, what they are, and the steps from one to the other. Pure.

The number of partitions of a topic that exists is never changed in passing: a target's prefix chooses its partition, so
with more of them the same prefix has two owners until the old ones are worked off. It is told, and left alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

#: `Step.what` of a topic that is not there.
TOPIC: Final = "topic"
PARTITIONS: Final = "partitions"
REPLICATION: Final = "replication"


@dataclass(frozen=True, slots=True)
class Shape:
    """Of a topic. `configs`: names of Kafka's topic settings -> values as text; what is not named stays as it is."""

    partitions: int
    replication: int
    configs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Step:
    """One difference."""

    topic: str
    what: str  #: TOPIC, PARTITIONS, REPLICATION or the name of a setting
    now: str  #: "" where there is nothing
    wanted: str
    by_hand: bool = False  #: `apply` leaves it alone


@dataclass(frozen=True, slots=True)
class Holding:
    """What keeps a topic from getting more partitions: a group that has not worked it off, or that still has members,
    who would go on by the old number."""

    group: str
    topic: str
    behind: int  #: offsets
    members: int
    known: bool = True  #: it has members, or has committed something

    def __str__(self) -> str:
        if self.behind:
            return f"{self.group} is {self.behind} behind in {self.topic}"
        return f"{self.group} still has {self.members} members"


class Keeper(Protocol):
    """Of a log whose topics are made and changed."""

    async def found(self, names: Iterable[str]) -> dict[str, Shape]:
        """Those of `names` that there are."""

    async def apply(self, steps: Sequence[Step], wanted: Mapping[str, Shape]) -> None:
        """Take the steps that are not to be taken by hand."""

    async def holding(self, groups: Mapping[str, Sequence[str]]) -> list[Holding]:
        """What is not drained, of groups and the topics that each reads."""

    async def grow(self, partitions: Mapping[str, int]) -> None:
        """Give topics more partitions: topic -> how many in all."""


def plan(wanted: Mapping[str, Shape], found: Mapping[str, Shape]) -> Iterator[Step]:
    """The steps, topic by topic. `found`: of those that exist, with the values in force of all settings."""
    for topic, shape in wanted.items():
        there = found.get(topic)
        if there is None:
            yield Step(topic, TOPIC, "", f"{shape.partitions} partitions, {shape.replication} replicas")
            continue
        if there.partitions != shape.partitions:
            yield Step(topic, PARTITIONS, str(there.partitions), str(shape.partitions), by_hand=True)
        if there.replication != shape.replication:
            yield Step(topic, REPLICATION, str(there.replication), str(shape.replication), by_hand=True)
        for name, value in shape.configs.items():
            now = there.configs.get(name, "")
            if now != value:
                yield Step(topic, name, now, value)
