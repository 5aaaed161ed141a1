"""Whether a service is up, since when, and what it shows: a state for each, and the events of its changes. Pure.

What is known of a service is when it was seen last and what it showed then. What is not known is how it is between two
probes, and a lost packet is no outage. So a service is *missed* by a sweep which

    covers it                     its address, port and name were really asked
    was complete and healthy      it did not end early, and targets known to answer did
    began after it was last seen  a sighting by anybody, after the beginning, shows that the service was there

and it is *down* once it was missed `misses` times in a row, from `vantages` different places (`Rules`). A row ends with
any sighting. It is kept as a set of sweeps and not as a number, so a state is a function of the latest sighting and of
the sweeps that were counted: in which order they come, and how often, changes nothing.

`down_since` is the beginning of the first sweep of the row. Not the end of the last one, which only decided it: the
service was gone before. Not the last sighting either: until it was missed for the first time nobody knows. The outage
began between `last_seen` and the end of that first sweep, and both are kept; it lasts until the service is seen again.
(A sweep of the row that is counted after the service was found down, and began before, moves `down_since` back; what
was told stays.)

An event's id is a hash over the service and what happened (of an outage: the sighting before it), so telling it twice
changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from stages.core.events import Event, EventType, event_id
from stages.derive.faces import face, said
from stages.derive.sightings import Thing

Document = Mapping[str, Any]

#: Vantages of a row that are told apart; of each as many misses are kept as the rules ask for, so a row is bounded.
MAX_VANTAGES: Final = 16

#: Kinds of answer in a service.
_ANSWERS: Final = ("hit", "banner", "tls")


@dataclass(frozen=True, slots=True)
class Rules:
    """When a service is down. Raises ValueError for numbers that cannot be met."""

    misses: int = 3  #: in a row, without a sighting between
    vantages: int = 1  #: different places among them

    def __post_init__(self) -> None:
        if self.misses < 1:
            raise ValueError(f"misses is {self.misses}, at least 1")
        if not 1 <= self.vantages <= MAX_VANTAGES:
            raise ValueError(f"vantages is {self.vantages}, at least 1, at most {MAX_VANTAGES}")


@dataclass(frozen=True, slots=True)
class Swept:
    """One probing of many targets from one place, as it ended. Times in microseconds.

    `covers(address, port, transport)` says whether that target was probed, its address as 16 bytes (IPv4 as
    ::ffff:a.b.c.d): a sweep that ended early, and knows what it has probed, may be complete for those. `names` are the
    server names that it asked for beside the bare address: a service of a name is covered only if its name is.
    """

    scan: str
    vantage: str
    started: int
    ended: int
    healthy: bool
    complete: bool
    covers: Callable[[bytes, int, str], bool]
    names: Container[str] = ()


@dataclass(frozen=True, slots=True, order=True)
class Miss:
    """A sweep that has missed a service; in the order of their time."""

    started: int
    ended: int
    scan: str
    vantage: str


@dataclass(frozen=True, slots=True)
class Shown:
    """A thing that a service showed last. `how` it was asked: answers to different questions are not compared."""

    hash: str
    how: str
    since: int  #: when this one was first seen there
    digest: str = ""  #: of a banner: the SHA-256 of all of it; `hash` is that of what stays
    said: str = ""  #: of a banner: its first line


@dataclass(slots=True)
class State:
    """What is kept of one service. Its first and last sighting stand in the service itself."""

    id: str
    ip: str
    address: bytes
    port: int
    transport: str
    name: str
    last_changed: int  #: when it came, went, or showed something else
    last_seen: int  #: when this was written; while it is missing, that is the last sighting
    down_since: int | None = None
    row: tuple[Miss, ...] = ()  #: of sweeps that missed it since, the first of each vantage, in order
    shown: dict[str, Shown] = field(default_factory=dict)  #: `banner`, and `derive.sightings.Thing` -> what
    tell: list[Event] = field(default_factory=list)  #: events not known to be told yet
    look: bool = False  #: whether it is to be looked if something moved from here or to here

    @property
    def missing(self) -> bool:
        return bool(self.row)

    @property
    def vantages(self) -> set[str]:
        return {miss.vantage for miss in self.row}

    @property
    def things(self) -> dict[str, Shown]:
        """What could turn up elsewhere."""
        return {kind: one for kind, one in self.shown.items() if kind != BANNER}

    def event(self, kind: EventType, ts: int, swept: Swept, what: Iterable[object], **details: Any) -> Event:
        """An event of this service. `what` tells it from the next of its type."""
        name = self.name or None
        whole = event_id(kind, self.ip, self.port, self.transport, self.name, *what)
        return Event(
            whole, kind, swept.scan, swept.vantage, ts, self.ip, self.port, self.transport, name, dict(details)
        )


#: The key of a banner in `State.shown`.
BANNER: Final = "banner"


def key_of(service: Document) -> tuple[bytes, int, str, str]:
    """What a service is known by."""
    return bytes(service["address"]), int(service["port"]), service["transport"], service.get("name", "")


def missed(service: Document, swept: Swept) -> bool:
    """Whether the sweep should have seen the service, and nobody has since it began."""
    if service["last_seen"] >= swept.started or not (swept.healthy and swept.complete):
        return False
    address, port, transport, name = key_of(service)
    return (not name or name in swept.names) and swept.covers(address, port, transport)


def longer(row: tuple[Miss, ...], miss: Miss, rules: Rules) -> tuple[Miss, ...]:
    """A row with one more miss; of each vantage the first ones stay, which are all that the rules ask about."""
    if any((known.scan, known.vantage) == (miss.scan, miss.vantage) for known in row):
        return row
    own = sorted([*(known for known in row if known.vantage == miss.vantage), miss])[: rules.misses]
    rest = [known for known in row if known.vantage != miss.vantage]
    if len({known.vantage for known in rest}) >= MAX_VANTAGES:
        return row
    return tuple(sorted([*rest, *own]))


def holds(row: tuple[Miss, ...], rules: Rules) -> bool:
    """Whether a row is an outage."""
    return len(row) >= rules.misses and len({miss.vantage for miss in row}) >= rules.vantages


def step(
    service: Document,
    state: State | None,
    swept: Swept,
    rules: Rules,
    keys: Mapping[str, str],
) -> tuple[State, list[Event]]:
    """The state after a sweep, and what has happened. `state` is that before (None: there is none), and is left as it
    is; `keys`: SHA-256 of a certificate -> that of its key. Without a change the state is equal to the one before."""
    events: list[Event] = []
    if state is None:
        address, port, transport, name = key_of(service)
        first = int(service["first_seen"])
        after = State(service["_id"], service["ip"], address, port, transport, name, first, int(service["last_seen"]))
        events.append(after.event(EventType.SERVICE_UP, first, swept, ("new", first)))
    else:
        after = State(
            state.id, state.ip, state.address, state.port, state.transport, state.name, state.last_changed,
            state.last_seen, state.down_since, state.row, dict(state.shown), list(state.tell), state.look,
        )  # fmt: skip
    _seen(service, after, swept, events)
    _missed(service, after, swept, rules, events)
    _showing(service, after, swept, keys, events)
    if events:
        after.last_changed = max(after.last_changed, *(event.ts for event in events))
        after.tell += [event for event in events if all(event.id != known.id for known in after.tell)]
    return after, events


def _seen(service: Document, state: State, swept: Swept, events: list[Event]) -> None:
    """End the row that a sighting has ended, and the outage with it."""
    last = int(service["last_seen"])
    if not state.row or last < state.row[0].started:
        return
    if state.down_since is not None:
        # Of the answers since then the first one; an earlier one is known only if it was the latest of its kind.
        until = min(
            [ts for kind in _ANSWERS if kind in service and (ts := int(service[kind]["ts"])) >= state.down_since],
            default=last,
        )
        events.append(
            state.event(
                EventType.SERVICE_UP, until, swept, ("again", state.last_seen), down_since=state.down_since,
                until=until, last_seen=state.last_seen,
            )
        )  # fmt: skip
    state.row = tuple(miss for miss in state.row if miss.started > last)
    state.down_since = None
    state.last_seen = last


def _missed(service: Document, state: State, swept: Swept, rules: Rules, events: list[Event]) -> None:
    """Count the sweep, if it has missed the service; then judge."""
    if missed(service, swept):
        before = state.row
        state.row = longer(before, Miss(swept.started, swept.ended, swept.scan, swept.vantage), rules)
        if not before and state.row:
            state.look = bool(state.things)
        state.last_seen = int(service["last_seen"])
    if state.down_since is None and holds(state.row, rules):
        state.down_since = state.row[0].started
        decided = max(miss.ended for miss in state.row)
        events.append(
            state.event(
                EventType.SERVICE_DOWN, state.down_since, swept, (state.last_seen,), down_since=state.down_since,
                decided=decided, last_seen=state.last_seen, misses=len(state.row), vantages=sorted(state.vantages),
            )
        )  # fmt: skip
    elif state.down_since is not None and state.down_since != state.row[0].started:  # counted late, it began earlier
        if state.last_changed == state.down_since:
            state.last_changed = state.row[0].started
        state.down_since = state.row[0].started


def _showing(service: Document, state: State, swept: Swept, keys: Mapping[str, str], events: list[Event]) -> None:
    """What the service shows now, beside what it showed before."""
    banner, tls = service.get("banner"), service.get("tls")
    if banner is not None:
        digest = face(banner)
        if digest is not None:
            how, since = str(banner["probe"]), int(banner["ts"])
            old = state.shown.get(BANNER)
            new = Shown(digest, how, since, banner["sha256"], said(banner))
            if old is None or (old.hash, old.how) != (new.hash, new.how):
                state.shown[BANNER] = new
            if old is not None and old.how == new.how and old.hash != new.hash:
                details = {"probe": how, "before": old.digest, "after": new.digest}
                details |= {"said_before": old.said, "said": new.said}
                events.append(state.event(EventType.BANNER_CHANGED, since, swept, (new.digest, since), **details))
        if "host_key" in banner:
            _thing(state, Thing.SSH, Shown(banner["host_key"], "", int(banner["ts"])))
    if tls is not None and "leaf" in tls:
        how, since = f"{tls.get('mode', '')} {tls.get('sni', '')}".rstrip(), int(tls["ts"])
        new = Shown(tls["leaf"], how, since)
        old = _thing(state, Thing.CERTIFICATE, new)
        if old is not None and old.how == how and old.hash != new.hash:
            details = {"before": old.hash, "after": new.hash, "mode": tls.get("mode", "")}
            events.append(state.event(EventType.CERTIFICATE_CHANGED, since, swept, (new.hash, since), **details))
        if new.hash in keys:
            _thing(state, Thing.KEY, Shown(keys[new.hash], "", since))


def _thing(state: State, kind: Thing, new: Shown) -> Shown | None:
    """Keep what is shown now, if it is another than before or asked in another way. Returns what was shown before."""
    old = state.shown.get(kind)
    if old is None or (old.hash, old.how) != (new.hash, new.how):
        since = old.since if old is not None and old.hash == new.hash else new.since
        state.shown[kind] = Shown(new.hash, new.how, since)
        state.look = state.look or old is None or old.hash != new.hash
    return old


def leaf_to_read(service: Document, state: State | None) -> str | None:
    """The certificate whose key has to be known for `step`: that of a service which did not show it before."""
    leaf = service.get("tls", {}).get("leaf")
    known = None if state is None else state.shown.get(Thing.CERTIFICATE)
    return None if leaf is None or (known is not None and known.hash == leaf) else leaf
