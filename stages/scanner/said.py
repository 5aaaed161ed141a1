"""What is said on the connections that a scan goes on with, and what came of it.

`Grabbing` is handed in by `cli`: a stage knows no other stage, so the dialogues of bannergrab and tlsgrab and the
makers of their records come as callables. A `Said` is a batch of conversations that have ended, on its way to those who
write; its lines are rendered there, in the loop, and not on the engine's thread.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from stages.core.outcome import Outcome
from stages.core.records import Hit, prefix_key

if TYPE_CHECKING:
    from stages.net.continuation import Fixed, Link
    from stages.net.conversation import Conversation, Dialogue
    from stages.net.ended import Ended
    from stages.scanner.continuing import Continuing
    from stages.scanner.filters import Filter
    from stages.scanner.hits import HitSource
    from stages.scanner.rows import Answer

log = logging.getLogger("longline.scanner.said")

#: (key, line): the key is the target's prefix, which orders and owns it.
Keyed = tuple[bytes, bytes]
Rendered = tuple[Sequence[Keyed], Mapping[Outcome, int]]
#: A batch of the compiled dialogue -> its lines, and how many ended in which way.
Render = Callable[["Ended"], Rendered]
#: One that ended `ok` and as most do, and the answer that it went on from -> its line; None: it is not so plain.
Plain = Callable[["Conversation", "Answer"], Keyed | None]


@dataclass(frozen=True, slots=True)
class Grabbing:
    """What is said. Times in seconds."""

    name: str  #: of the dialogue, in the scan's own record
    topic: str  #: where its records go on a log
    begin: Callable[[str, int], Dialogue]  #: (address, port) -> the dialogue with it
    record: Callable[[Conversation, Hit], tuple[Outcome, bytes]]  #: one that has ended -> its name and line
    expired: Callable[[Hit, int], bytes]  #: the line of a hit that may not be dialled; microseconds
    fixed: Fixed | None = None  #: the same in the form that is compiled with the engine, where it has one
    render: Callable[[HitSource], Render] | None = None  #: then how its records are made
    plain: Callable[[HitSource], Plain] | None = None  #: a short way to most records of the scanner's connections
    close: Literal["fin", "rst"] = "fin"
    capacity: int = 50_000  #: conversations at once
    max_bytes: int = 65_536
    total: float = 30.0  #: of a conversation, connect and all
    connect_timeout: float = 4.0  #: where it has to be dialled
    keep_data: bool = True  #: False: the dialogues keep what they need
    control: bool = False  #: control ports are asked
    syns: int | None = None  #: SYNs to one target, at most, those of the scan included


@dataclass(frozen=True, slots=True)
class Onward:
    """What becomes of the connections that a scan opens."""

    grabbing: Grabbing | None = None  #: the scan goes on with them itself
    output: str | None = None  #: file of what is said; None: where hits go
    hold: float | None = None  #: another process does: this host stays quiet for so many seconds more
    scanner: str = ""  #: with `hold` on a log: whose topic the hits have
    syns: int | None = None  #: SYNs to one target, at most
    selected: bool = False  #: only with those that a plugin chooses; they are dialled


@runtime_checkable
class Said(Protocol):
    """A batch of conversations that have ended."""

    def __len__(self) -> int: ...

    def rendered(self, wanted: Collection[int] | None) -> Rendered:
        """The lines of those whose position is wanted; None: all."""

    def positions(self) -> list[int]:
        """Where their targets stand in the scan's order."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """Conversations of the compiled dialogue; `tag` is the position."""

    ended: Ended
    render: Render

    def __len__(self) -> int:
        return len(self.ended)

    def rendered(self, wanted: Collection[int] | None) -> Rendered:
        if wanted is None:
            return self.render(self.ended)
        rows = self.ended.rows
        kept = [position in wanted for position in rows["tag"].tolist()]
        return self.render(type(self.ended)(rows[kept], self.ended.data))

    def positions(self) -> list[int]:
        positions: list[int] = self.ended.rows["tag"].tolist()
        return positions


@dataclass(frozen=True, slots=True)
class Talked:
    """Conversations of dialogues that are objects; the tag is the answer that they went on from."""

    conversations: Sequence[Conversation]
    grabbing: Grabbing
    hit: Callable[[Answer], Hit]
    plain: Plain | None = None

    def __len__(self) -> int:
        return len(self.conversations)

    def rendered(self, wanted: Collection[int] | None) -> Rendered:
        keyed: list[Keyed] = []
        outcomes: Counter[Outcome] = Counter()
        plain, plainly = self.plain, 0
        for conversation in self.conversations:
            answer: Answer = conversation.tag  # type: ignore[assignment]
            if wanted is not None and answer.position not in wanted:
                continue
            if conversation.fault is not None:  # a dialogue's own: it costs one record
                log.error("%s: %s: %s", conversation, type(conversation.fault).__name__, conversation.fault)
                continue
            if plain is not None and (one := plain(conversation, answer)) is not None:
                keyed.append(one)
                plainly += 1
                continue
            hit = self.hit(answer)
            outcome, line = self.grabbing.record(conversation, hit)
            outcomes[outcome] += 1
            if outcome is not Outcome.LOCAL:
                keyed.append((prefix_key(hit.ip), line))
        if plainly:
            outcomes[Outcome.OK] += plainly
        return keyed, outcomes

    def positions(self) -> list[int]:
        return [conversation.tag.position for conversation in self.conversations]  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class Left:
    """Hits that nobody goes on with: nothing more will come of them. With lines where their records say so."""

    at: Sequence[int]
    lines: Sequence[Keyed] = field(default=())

    def __len__(self) -> int:
        return len(self.at)

    def rendered(self, wanted: Collection[int] | None) -> Rendered:
        chosen = [line for at, line in zip(self.at, self.lines, strict=False) if wanted is None or at in wanted]
        return chosen, Counter({Outcome.EXPIRED: len(chosen)} if chosen else {})

    def positions(self) -> list[int]:
        return list(self.at)


def going_on(
    grabbing: Grabbing,
    source: HitSource,
    link: Link,
    ports: tuple[int, int],
    wscale: int,
    *,
    secret: bytes,
    say: Callable[[Said], None],
    wanted: Filter | None = None,
) -> Continuing:
    """`stages.scanner.engine.GoOn`; what it needs is loaded when there are packets."""
    from stages.scanner.continuing import Continuing

    return Continuing(grabbing, source, link, ports, wscale=wscale, secret=secret, say=say, wanted=wanted)
