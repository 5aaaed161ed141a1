"""Sets of addresses as people write them: networks, addresses, `a-b` ranges, host names, comments. Pure.

One line of a list is one entry; what follows `#` is a comment. A network with host bits set means its network, as in
ZMap (`10.1.2.3/8` is 10.0.0.0/8). A host name needs a resolver, which is passed in: this file asks nobody.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from typing import Final, TypeAlias

from stages.core.errors import ListError
from stages.core.ranges import Range, Ranges

#: A host name -> its addresses, as texts. Raises OSError when there are none.
Resolve: TypeAlias = Callable[[str], Sequence[str]]

BITS: Final = {4: 32, 6: 128}

#: RFC 1035 section 2.3.4: a name is at most 255 octets on the wire, 253 as text; a label at most 63.
_LABEL: Final = r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)"
_NAME: Final = re.compile(rf"(?=.{{1,253}}\.?\Z){_LABEL}(?:\.{_LABEL})*\.?", re.ASCII).fullmatch

#: What can only be meant as an address: a name never consists of these alone.
_NUMERIC: Final = re.compile(r"[0-9./\-\s]*|.*[:/].*", re.ASCII | re.DOTALL).fullmatch


@dataclass(frozen=True, slots=True)
class Span:
    """One entry of a list: the addresses first..last of one IP version."""

    version: int  #: 4 or 6
    first: int
    last: int
    named: bool = field(default=False, compare=False)  #: what a host name resolved to, not an address as written

    @property
    def size(self) -> int:
        return self.last - self.first + 1

    def __str__(self) -> str:
        """As a network where it is one, else as a range."""
        kind = IPv4Address if self.version == 4 else IPv6Address
        length = BITS[self.version] - (self.size.bit_length() - 1)
        if self.size == 1:
            return str(kind(self.first))
        if self.size & (self.size - 1) == 0 and self.first % self.size == 0:
            return f"{kind(self.first)}/{length}"
        return f"{kind(self.first)}-{kind(self.last)}"


def parse_address(text: str) -> tuple[int, int]:
    """(version, number) of an address. Raises ValueError with the problem in words."""
    try:
        if ":" in text:
            if "%" in text:
                raise ValueError
            return 6, int(IPv6Address(text))
        try:
            a, b, c, d = text.split(".")
            return 4, _OCTETS[a] << 24 | _OCTETS[b] << 16 | _OCTETS[c] << 8 | _OCTETS[d]
        except (ValueError, KeyError):
            return 4, int(IPv4Address(text))
    except ValueError:
        raise ValueError(f"not an IPv{6 if ':' in text else 4} address") from None


#: The octets as they must be written. A list may have a million lines: this takes a fifth of what IPv4Address takes.
_OCTETS: Final = {str(octet): octet for octet in range(256)}


def is_name(text: str) -> bool:
    """Whether `text` can be a host name (RFC 1123 section 2.1; `_` besides): its last label is not a number."""
    return _NAME(text) is not None and not text.rstrip(".").rpartition(".")[2].isdigit()


def parse_entry(text: str) -> Span | str:
    """One entry without its comment: a Span, or the host name that it is. Raises ValueError with the problem."""
    text = text.strip()
    network, slash, length = text.partition("/")
    if slash:
        version, number = parse_address(network)
        if not (length.isascii() and length.isdigit()) or int(length) > BITS[version]:
            raise ValueError(f"a prefix length is a number from 0 to {BITS[version]}")
        size = 1 << (BITS[version] - int(length))
        first = number & ~(size - 1)
        return Span(version, first, first + size - 1)
    low, dash, high = text.partition("-")
    if dash and (_NUMERIC(text) or _NUMERIC(low)):
        version, first = parse_address(low.strip())
        other, last = parse_address(high.strip())
        if other != version:
            raise ValueError("a range of two IP versions")
        if last < first:
            raise ValueError("an inverted range: its end is before its start")
        return Span(version, first, last)
    if _NUMERIC(text):
        version, number = parse_address(text)
        return Span(version, number, number)
    if is_name(text):
        return text.rstrip(".").lower()
    raise ValueError("not a network, an address, a range a-b or a host name")


@dataclass(frozen=True, slots=True)
class NetSet:
    """A set of IPv4 and IPv6 addresses. Immutable."""

    v4: Ranges = field(default_factory=Ranges)
    v6: Ranges = field(default_factory=Ranges)

    @classmethod
    def of(cls, spans: Iterable[Span]) -> NetSet:
        """From entries in any order."""
        ranges: dict[int, list[Range]] = {4: [], 6: []}
        for span in spans:
            ranges[span.version].append((span.first, span.last))
        return cls(Ranges.of(ranges[4]), Ranges.of(ranges[6]))

    @classmethod
    def parse(cls, lines: Iterable[str], file: str, resolve: Resolve | None = None) -> NetSet:
        """The set that a list file describes. Raises ListError with file, line, value and problem."""
        return cls.of(parse_lines(lines, file, resolve))

    @classmethod
    def everything(cls) -> NetSet:
        """All addresses of both versions."""
        return cls(Ranges((0,), ((1 << 32) - 1,)), Ranges((0,), ((1 << 128) - 1,)))

    def __contains__(self, ip: str) -> bool:
        """Whether an address is in the set. Raises ValueError if `ip` is none."""
        version, number = parse_address(ip)
        return number in (self.v4 if version == 4 else self.v6)

    def __bool__(self) -> bool:
        return bool(self.v4.starts or self.v6.starts)

    def contains_u32(self, number: int) -> bool:
        """Whether the IPv4 address with this number is in the set."""
        return number in self.v4

    def contains_span(self, span: Span) -> bool:
        """Whether all of `span` is in the set."""
        return (self.v4 if span.version == 4 else self.v6).covers(span.first, span.last)

    @property
    def size(self) -> int:
        """How many addresses are in the set."""
        return self.v4.size + self.v6.size

    def union(self, other: NetSet) -> NetSet:
        """What is in one of the two."""
        return NetSet(self.v4.union(other.v4), self.v6.union(other.v6))

    def intersect(self, other: NetSet) -> NetSet:
        """What is in both."""
        return NetSet(self.v4.intersect(other.v4), self.v6.intersect(other.v6))

    def minus(self, other: NetSet) -> NetSet:
        """What is in this set and not in the other."""
        return NetSet(self.v4.minus(other.v4), self.v6.minus(other.v6))

    def ranges_v4(self) -> list[Range]:
        """The IPv4 part: (first, last), both inside, sorted and disjoint."""
        return list(self.v4)

    def spans(self) -> list[Span]:
        """All ranges, IPv4 first."""
        return [Span(4, *pair) for pair in self.v4] + [Span(6, *pair) for pair in self.v6]


def range_texts(v4: Iterable[Range], v6: Iterable[Range] = ()) -> list[str]:
    """Ranges as `first-last`, IPv4 first."""
    texts = [f"{IPv4Address(first)}-{IPv4Address(last)}" for first, last in v4]
    return texts + [f"{IPv6Address(first)}-{IPv6Address(last)}" for first, last in v6]


def parse_lines(
    lines: Iterable[str],
    file: str,
    resolve: Resolve | None = None,
    *,
    on_error: Callable[[ListError], None] | None = None,
) -> Iterable[Span]:
    """The entries of a list, one after the other. Raises ListError with file, line, value and problem; with `on_error`
    that is told instead, and the line left out.

    Without `resolve` a host name is an error.
    """
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        try:
            entry = parse_entry(text)
            found = _resolved(entry, resolve) if isinstance(entry, str) else [entry]
        except ValueError as error:
            wrong = ListError(file, number, text, str(error))
            if on_error is None:
                raise wrong from None
            on_error(wrong)
        else:
            yield from found


def _resolved(name: str, resolve: Resolve | None) -> list[Span]:
    if resolve is None:
        raise ValueError("a host name, where only addresses are allowed")
    try:
        addresses = resolve(name)
    except OSError as error:
        raise ValueError(f"a host name that cannot be resolved: {error.strerror or error}") from None
    if not addresses:
        raise ValueError("a host name without an address")
    return [Span(version, number, number, named=True) for version, number in map(parse_address, addresses)]
