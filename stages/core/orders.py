"""Standing orders: whom to leave alone, and what to stop, for everything that sends, until they are lifted. Pure.

An order is one line of JSON:

    {"order": "stop", "scope": "prefix", "what": "192.0.2.0/24", "reason": "mail of the owner", "by": "ada", "at": 0}

`optout` leaves a network alone, `remove` takes that back; `stop` ends what sends (all of it, the scans of a campaign,
or whatever goes to a prefix), `lift` takes that back. An order is about one thing (`Order.key`), and of all about the
same thing the last one holds: so the log of them may be compacted. A line that is none is left out, and told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, Literal

import orjson

from stages.core.errors import UsageError
from stages.core.netset import NetSet, Span, parse_entry

Verb = Literal["optout", "remove", "stop", "lift"]
Scope = Literal["all", "campaign", "prefix"]

#: Verb -> what it is about. Two verbs about the same thing take each other's place.
_KINDS: Final = {"optout": "optout", "remove": "optout", "stop": "stop", "lift": "stop"}
_SCOPES: Final = {"optout": ("prefix",), "stop": ("all", "campaign", "prefix")}

#: Characters of a name, of a reason, and of who gave it: an order is read by people, in one line.
MAX_WHAT: Final = 200
MAX_REASON: Final = 500
MAX_BY: Final = 100

#: Bytes of one order: the fields above, each character escaped.
MAX_ORDER: Final = 16 << 10

#: Things that orders of one kind may be about, in one log: as many as a coordinator tells its agents to leave alone.
#: Each kind has its own room: an emergency stop is heeded however many have opted out.
MAX_ORDERS: Final = 100_000

#: Seconds since the epoch of the last moment that RFC 3339 can write.
_LAST_MOMENT: Final = 253_402_300_799


@dataclass(frozen=True, slots=True)
class Order:
    """`at`: seconds since the epoch. Raises ValueError for what is no order, with the field."""

    order: Verb
    scope: Scope
    what: str = ""
    reason: str = ""
    by: str = ""
    at: int = 0

    def __post_init__(self) -> None:
        for name, most in (("order", 20), ("scope", 20), ("what", MAX_WHAT), ("reason", MAX_REASON), ("by", MAX_BY)):
            value = getattr(self, name)
            if not isinstance(value, str) or len(value) > most or not value.isprintable():
                raise ValueError(f"{name}: not one line of at most {most} characters")
        if self.order not in _KINDS:
            raise ValueError(f"order: none of {', '.join(_KINDS)}")
        if self.scope not in _SCOPES[self.kind]:
            raise ValueError(f"scope: none of {', '.join(_SCOPES[self.kind])}")
        if type(self.at) is not int or not 0 <= self.at <= _LAST_MOMENT:
            raise ValueError("at: no moment in seconds since 1970")
        if self.scope == "prefix":
            object.__setattr__(self, "what", network(self.what))
        elif bool(self.what) != (self.scope == "campaign"):
            raise ValueError("what: the name of a campaign or a network, and nothing for all")

    @property
    def kind(self) -> str:
        return _KINDS[self.order]

    @property
    def stands(self) -> bool:
        """Whether it orders something, or takes an order back."""
        return self.order == self.kind

    @property
    def key(self) -> bytes:
        """What it is about; the key of its message, by which a log is compacted."""
        return f"{self.kind}:{self.scope}:{self.what}".encode()

    def dump(self) -> bytes:
        return orjson.dumps(self)

    @property
    def name(self) -> str:
        """As it is typed: `--campaign weekly`."""
        return f"--{self.scope} {self.what}".rstrip()

    def text(self) -> str:
        """For people: what, by whom and why."""
        return f"stop {self.name} (by {self.by or 'somebody'}: {self.reason or 'no reason given'})"


def network(text: str) -> str:
    """One spelling of a network, an address or a range. Raises ValueError for anything else."""
    span = parse_entry(text)
    if not isinstance(span, Span):
        raise ValueError("what: a name: what it stands for may change; give its addresses")
    return str(span)


def parse(line: bytes) -> Order:
    """Raises ValueError: what is wrong."""
    if len(line) > MAX_ORDER:
        raise ValueError(f"{len(line)} bytes, an order has at most {MAX_ORDER}")
    values = orjson.loads(line)
    if not isinstance(values, dict):
        raise ValueError("not an object")
    try:
        return Order(**values)
    except TypeError:
        raise ValueError("fields that an order does not have, or too few") from None


def made(order: Verb, scope: Scope, what: str, *, reason: str, by: str, at: int) -> Order:
    """An order of a user's. Raises UsageError."""
    try:
        return Order(order, scope, what, reason.strip(), by, at)
    except ValueError as error:
        raise UsageError(f"--{scope}", what or None, str(error)) from None


class Fold:
    """What one log says so far: of all orders about a thing the last one."""

    def __init__(self) -> None:
        self._last: dict[str, dict[bytes, Order]] = {"stop": {}, "optout": {}}
        self.left_out = 0  #: lines that were no orders, or for which there was no room

    def take(self, lines: Iterable[bytes]) -> list[str]:
        """Returns what is wrong with those that are left out."""
        wrong = []
        for line in lines:
            try:
                order = parse(line)
                last = self._last[order.kind]
                if order.key not in last and len(last) >= MAX_ORDERS:
                    raise ValueError(f"more than {MAX_ORDERS} things to heed")
            except ValueError as error:
                wrong.append(f"{error}: {line[:80]!r}")
                continue
            last.pop(order.key, None)
            if order.stands:
                last[order.key] = order
        self.left_out += len(wrong)
        return wrong

    @property
    def standing(self) -> tuple[Order, ...]:
        return tuple(order for last in self._last.values() for order in last.values())


@dataclass(frozen=True, slots=True)
class Standing:
    """All orders that stand, of all the ways on which they come: what one log says, another does not take back."""

    orders: tuple[Order, ...] = ()
    networks: NetSet = field(default_factory=NetSet)  #: to be left alone
    known: bool = True  #: False: not all ways have been heard yet, nothing should be sent
    #: The orders to stop, without those of who asked to be left alone: those may be many, and this is asked often.
    stops: tuple[Order, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "stops", tuple(order for order in self.orders if order.kind == "stop"))

    @classmethod
    def of(cls, logs: Iterable[Iterable[Order]]) -> Standing:
        orders = tuple({order.key: order for log in logs for order in log}.values())
        spans = [parse_entry(order.what) for order in orders if order.scope == "prefix"]
        return cls(orders, NetSet.of(span for span in spans if isinstance(span, Span)))

    @property
    def everything(self) -> Order | None:
        """The order to stop all."""
        return next((order for order in self.stops if order.scope == "all"), None)

    def against(self, scan: str) -> Order | None:
        """The order that stops this scan: all, or the campaign of its name, or whose name it begins with and a dash."""
        if (order := self.everything) is not None:
            return order
        campaigns = (order for order in self.stops if order.scope == "campaign")
        return next((order for order in campaigns if within(scan, order.what)), None)


def within(scan: str, campaign: str) -> bool:
    """Whether a scan is one of a campaign."""
    return scan == campaign or scan.startswith(f"{campaign}-")


class Orders:
    """The orders in force, and who wants to hear of them. Belongs to one loop."""

    def __init__(self, standing: Standing | None = None) -> None:
        self.standing = standing if standing is not None else Standing()
        self._listeners: list[Callable[[Standing], None]] = []

    def listen(self, listener: Callable[[Standing], None]) -> None:
        """Call it now, and at each change from now on."""
        self._listeners.append(listener)
        listener(self.standing)

    def unlisten(self, listener: Callable[[Standing], None]) -> None:
        self._listeners.remove(listener)

    def tell(self, standing: Standing) -> None:
        self.standing = standing
        for listener in list(self._listeners):
            listener(standing)
