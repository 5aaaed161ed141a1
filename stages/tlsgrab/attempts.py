"""What is asked of one target when one connection is not enough. Pure.

A server that answers the first hello with a refusal (no version, no suite, or it simply breaks off) is asked again with
another hello, each time on a new connection, within a budget. If none is answered the record is that of the first.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Final

from stages.core.outcome import Outcome, Phase
from stages.core.records import Hit, Tls
from stages.proto.tls.fallback import next_hello, refusal_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stages.proto.tls.hello import HelloSpec

#: What a server that does not understand a hello may do with it.
_REFUSALS: Final = frozenset({Outcome.ALERT, Outcome.RESET, Outcome.EMPTY})

_HIT_FIELDS: Final = tuple(each.name for each in fields(Hit))


@dataclass(slots=True)
class Followed:
    """Names out of the certificates of one target (`names`): how many more may be asked for, and which were."""

    left: int
    asked: set[str | None] = field(default_factory=set)


@dataclass(slots=True)
class Attempt(Hit):
    """A target that was asked before: in vain, or under another name."""

    hello: str = ""  #: the one to send now; "": the usual one
    tried: tuple[str, ...] = ()  #: those that were refused
    first: Tls | None = None  #: what came of the first one
    followed: Followed | None = None


def connections_of(hit: Hit) -> int:
    """How many connections it takes, this one counted."""
    return len(hit.tried) + 1 if isinstance(hit, Attempt) else 1


def next_attempt(hit: Hit, record: Tls, budget: int, hellos: Mapping[str, HelloSpec]) -> Attempt | None:
    """What to try after `record`; None: nothing more. `budget`: connections to one target, at most."""
    if record.outcome not in _REFUSALS or record.phase is not Phase.HELLO or record.version is not None:
        return None
    if record.hello is None:  # TLS had not begun
        return None
    tried, first = (hit.tried, hit.first) if isinstance(hit, Attempt) else ((), record)
    tried = (*tried, record.hello)
    if len(tried) >= budget:
        return None
    spec = next_hello(refusal_of(record.alert), tried, hellos)
    if spec is None:
        return None
    own = {name: getattr(hit, name) for name in _HIT_FIELDS}
    followed = hit.followed if isinstance(hit, Attempt) else None
    return Attempt(**own, hello=spec.name, tried=tried, first=first, followed=followed)


def best_of(hit: Hit, record: Tls) -> Tls:
    """The record to keep after the last attempt: of the one that a ServerHello answered, or else of the first."""
    if not isinstance(hit, Attempt) or hit.first is None or record.version is not None:
        return record
    first = hit.first
    first.connections = record.connections
    return first
