"""A walker over DER (ITU-T X.690): elements by their place, lazily, within strict bounds. Pure.

It copies nothing and goes down only where it is asked to, so a bomb (a million empty elements, nesting without end,
lengths beyond the input) costs no more than the bounds below. Whoever reads a certificate calls it for the places that
a certificate has; `walk` goes over everything.

Where real certificates break the rules and can still be read (lengths and integers longer than they need be, times
without seconds), it reads on and says so in `notes`.
"""

from __future__ import annotations

import datetime as _dt
from collections.abc import Iterator
from typing import Final

#: Bytes of one input: a TLS handshake message is at most 2^24, and ours at most 256 KiB.
MAX_BYTES: Final = 2**20

#: Levels below the outermost element: a certificate has some ten, with the deepest extension.
MAX_DEPTH: Final = 32

#: Elements read of one input: a certificate with 10,000 names has a little more.
MAX_ELEMENTS: Final = 40_000

#: Length octets after the first: four say more than MAX_BYTES.
MAX_LENGTH_OCTETS: Final = 4

#: Octets of a tag number above 30: nobody uses more than one; three hold 2^21.
MAX_TAG_OCTETS: Final = 3

#: Bytes of an object identifier, and of the decimal of an integer: 128 bytes are 309 digits. The longest identifiers
#: in use have some thirty bytes.
MAX_OID_BYTES: Final = 128

#: Different remarks that are kept of one input.
MAX_NOTES: Final = 16

#: Identifier octets (X.690 8.1.2) of the universal types that a certificate is made of.
BOOLEAN: Final = 0x01
INTEGER: Final = 0x02
BIT_STRING: Final = 0x03
OCTET_STRING: Final = 0x04
NULL: Final = 0x05
OID: Final = 0x06
UTF8_STRING: Final = 0x0C
UTC_TIME: Final = 0x17
GENERALIZED_TIME: Final = 0x18
SEQUENCE: Final = 0x30
SET: Final = 0x31

_CONSTRUCTED: Final = 0x20
_HIGH: Final = 0x1F

#: String types and how their bytes are read. T61 and General are in practice Latin-1.
_CHARSETS: Final = {
    UTF8_STRING: "utf-8",
    0x12: "ascii",  # NumericString
    0x13: "ascii",  # PrintableString
    0x14: "latin-1",  # T61String
    0x16: "ascii",  # IA5String
    0x1A: "ascii",  # VisibleString
    0x1B: "latin-1",  # GeneralString
    0x1C: "utf-32-be",  # UniversalString
    0x1E: "utf-16-be",  # BMPString
}

_EPOCH: Final = _dt.datetime(1970, 1, 1)  # noqa: DTZ001 -- differences only
_UTC_PIVOT: Final = 50  # RFC 5280 4.1.2.5.1: below it is 20xx


class DerError(ValueError):
    """The bytes are not DER, or beyond the bounds; says at which byte."""


class Element:
    """One element: `tag` is its identifier octet (for numbers above 30 the octet, then the number in 24 bits), its
    header begins at `start`, its content reaches from `body` to `end`."""

    __slots__ = ("body", "depth", "end", "start", "tag")

    def __init__(self, tag: int, start: int, body: int, end: int, depth: int) -> None:
        self.tag = tag
        self.start = start
        self.body = body
        self.end = end
        self.depth = depth

    def __repr__(self) -> str:
        return f"Element(tag=0x{self.tag:02x}, start={self.start}, body={self.body}, end={self.end})"

    @property
    def constructed(self) -> bool:
        octet = self.tag if self.tag <= 0xFF else self.tag >> 24
        return bool(octet & _CONSTRUCTED)


class Walker:
    """Reads elements of one input. All methods raise DerError."""

    __slots__ = ("data", "left", "notes")

    def __init__(self, data: bytes, elements: int = MAX_ELEMENTS) -> None:
        if len(data) > MAX_BYTES:
            raise DerError(f"{len(data)} bytes, at most {MAX_BYTES}")
        self.data = data
        self.left = elements  #: how many more may be read
        self.notes: list[str] = []

    def note(self, remark: str) -> None:
        """Remember a remark, once."""
        if remark not in self.notes and len(self.notes) < MAX_NOTES:
            self.notes.append(remark)

    def element(self, at: int, end: int, depth: int = 0, *, clamp: bool = False) -> Element:
        """The element whose header is at `at`; it ends at `end` at the latest. `clamp`: one that says it is longer is
        cut there and noted, so that a certificate that was cut off is read as far as it goes."""
        if depth > MAX_DEPTH:
            raise DerError(f"deeper than {MAX_DEPTH} levels at byte {at}")
        self.left -= 1
        if self.left < 0:
            raise DerError(f"too many elements at byte {at}")
        data = self.data
        if at + 2 > end:
            raise DerError(f"ends inside a header at byte {at}")
        tag = data[at]
        place = at + 1
        if tag & _HIGH == _HIGH:
            tag, place = self._high_tag(tag, place, end)
            if place >= end:
                raise DerError(f"ends inside a header at byte {at}")
        length = data[place]
        place += 1
        if length > 0x7F:
            octets = length & 0x7F
            if octets == 0:
                raise DerError(f"indefinite length at byte {at}")
            if octets > MAX_LENGTH_OCTETS:
                raise DerError(f"length of {octets} octets at byte {at}")
            if place + octets > end:
                raise DerError(f"ends inside a length at byte {at}")
            length = int.from_bytes(data[place : place + octets], "big")
            if length < 0x80 or length >> 8 * (octets - 1) == 0:
                self.note("a length longer than it need be")
            place += octets
        stop = place + length
        if stop > end:
            if not clamp:
                raise DerError(f"an element of {length} bytes at byte {at}, where {end - place} are left")
            self.note(f"cut off: an element of {length} bytes at byte {at}, where {end - place} are left")
            stop = end
        return Element(tag, at, place, stop, depth)

    def _high_tag(self, octet: int, place: int, end: int) -> tuple[int, int]:
        number = 0
        for _ in range(MAX_TAG_OCTETS):
            if place >= end:
                raise DerError(f"ends inside a tag at byte {place}")
            number = number << 7 | self.data[place] & 0x7F
            place += 1
            if not self.data[place - 1] & 0x80:
                return octet << 24 | number, place
        raise DerError(f"a tag of more than {MAX_TAG_OCTETS} octets at byte {place}")

    def root(self, *, clamp: bool = False) -> Element:
        """The outermost element; bytes behind it are noted."""
        element = self.element(0, len(self.data), clamp=clamp)
        if element.end < len(self.data):
            self.note(f"trailing bytes: {len(self.data) - element.end}")
        return element

    def children(self, parent: Element) -> list[Element]:
        """What a constructed element holds. Also of a primitive one, such as an OCTET STRING that wraps DER."""
        found = []
        at, end, depth = parent.body, parent.end, parent.depth + 1
        while at < end:
            child = self.element(at, end, depth)
            found.append(child)
            at = child.end
        return found

    def only(self, parent: Element, tag: int) -> Element:
        """The one element in `parent`, of this tag."""
        child = self.expect(self.element(parent.body, parent.end, parent.depth + 1), tag)
        if child.end != parent.end:
            raise DerError(f"{parent.end - child.end} bytes too many at byte {child.end}")
        return child

    def expect(self, element: Element, tag: int) -> Element:
        """`element`, if it has this tag."""
        if element.tag != tag:
            raise DerError(f"tag 0x{element.tag:02x} instead of 0x{tag:02x} at byte {element.start}")
        return element

    # --- values

    def whole(self, element: Element) -> bytes:
        """Header and content."""
        return self.data[element.start : element.end]

    def content(self, element: Element) -> bytes:
        return self.data[element.body : element.end]

    def integer(self, element: Element) -> int:
        """Of an INTEGER or ENUMERATED, or what an implicit tag makes of one."""
        raw = self.content(element)
        if not raw:
            raise DerError(f"an integer without a byte at byte {element.start}")
        if len(raw) > 1 and ((raw[0] == 0 and raw[1] < 0x80) or (raw[0] == 0xFF and raw[1] >= 0x80)):
            self.note("an integer longer than it need be")
        return int.from_bytes(raw, "big", signed=True)

    def boolean(self, element: Element) -> bool:
        raw = self.content(element)
        if len(raw) != 1:
            raise DerError(f"a boolean of {len(raw)} bytes at byte {element.start}")
        if raw[0] not in (0, 0xFF):
            self.note("a boolean that is neither 00 nor FF")
        return raw[0] != 0

    def oid(self, element: Element) -> str:
        """Dotted decimal (X.690 8.19)."""
        self.expect(element, OID)
        return self.oid_of(element)

    def oid_of(self, element: Element) -> str:
        """`oid`, whatever the tag (implicit ones)."""
        raw = self.content(element)
        known = _OIDS.get(raw)
        if known is not None:
            return known
        if not raw or raw[-1] & 0x80:
            raise DerError(f"an object identifier without an end at byte {element.start}")
        if len(raw) > MAX_OID_BYTES:
            raise DerError(f"an object identifier of {len(raw)} bytes at byte {element.start}")
        arcs: list[int] = []
        value = 0
        for byte in raw:
            value = value << 7 | byte & 0x7F
            if not byte & 0x80:
                arcs.append(value)
                value = 0
        first = min(arcs[0] // 40, 2)
        text = ".".join(map(str, (first, arcs[0] - 40 * first, *arcs[1:])))
        if len(_OIDS) < _MAX_OIDS:
            _OIDS[raw] = text
        return text

    def bits(self, element: Element) -> bytes:
        """The bytes of a BIT STRING, unused bits and all (X.690 8.6)."""
        raw = self.content(element)
        if not raw or raw[0] > 7 or (raw[0] and len(raw) == 1):
            raise DerError(f"no bit string at byte {element.start}")
        return raw[1:]

    def flags(self, element: Element) -> int:
        """A named BIT STRING as a number: bit 0 of the string is bit 0 of the number."""
        value = 0
        for i, byte in enumerate(self.bits(element)[:4]):
            for bit in range(8):
                if byte & 0x80 >> bit:
                    value |= 1 << 8 * i + bit
        return value

    def text(self, element: Element) -> str:
        """A string of any type; what its type does not allow is read as UTF-8 or Latin-1, and noted."""
        charset = _CHARSETS.get(element.tag)
        if charset is None:
            raise DerError(f"tag 0x{element.tag:02x} is no string at byte {element.start}")
        raw = self.content(element)
        try:
            return raw.decode(charset)
        except UnicodeDecodeError:
            self.note("a string with characters that its type has not")
            if charset not in ("ascii", "utf-8"):
                return raw.decode(charset, "replace")
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            return raw.decode("latin-1")

    def time(self, element: Element) -> int:
        """UTCTime or GeneralizedTime as microseconds since the epoch. RFC 5280 4.1.2.5 wants seconds and `Z`; what
        X.680 46-47 allows besides (no seconds, fractions, offsets) is read and noted."""
        if element.tag not in (UTC_TIME, GENERALIZED_TIME):
            raise DerError(f"tag 0x{element.tag:02x} is no time at byte {element.start}")
        raw = self.content(element)
        try:
            text = raw.decode("ascii")
            digits = 2 if element.tag == UTC_TIME else 4
            return self._moment(text, digits)
        except ValueError:
            raise DerError(f"{raw[:32]!r} is no time at byte {element.start}") from None

    def _moment(self, text: str, digits: int) -> int:
        rest = text[digits:]
        year = _number(text[:digits], digits)
        if digits == 2:
            year += 2000 if year < _UTC_PIVOT else 1900
        month, day, hour, minute = (_number(rest[i : i + 2], 2) for i in (0, 2, 4, 6))
        rest = rest[8:]
        seconds = micros = 0
        if rest[:2].isdecimal():
            seconds = _number(rest[:2], 2)
            rest = rest[2:]
        else:
            self.note("a time without seconds")
        if rest[:1] in (".", ",") and digits == 4:
            fraction = rest[1:].rstrip("Z")
            micros = _number(fraction[:6].ljust(6, "0"), 6)
            rest = rest[1 + len(fraction) :]
            self.note("a time with a fraction")
        moment = _dt.datetime(year, month, day, hour, minute, seconds, micros)  # noqa: DTZ001
        if rest != "Z":
            if len(rest) == 5 and rest[0] in "+-":
                offset = _dt.timedelta(hours=_number(rest[1:3], 2), minutes=_number(rest[3:], 2))
                moment = moment - offset if rest[0] == "+" else moment + offset
                self.note("a time with an offset")
            elif rest:
                raise ValueError(rest)
            else:
                self.note("a time without a zone")
        return (moment - _EPOCH) // _dt.timedelta(microseconds=1)

    def walk(self) -> Iterator[Element]:
        """Every element, parents first, into every constructed one."""
        waiting = [self.root()]
        while waiting:
            element = waiting.pop()
            yield element
            if element.constructed:
                waiting.extend(reversed(self.children(element)))


#: Identifiers met before, by their bytes: a few hundred make up nearly all of a corpus.
_OIDS: Final[dict[bytes, str]] = {}
_MAX_OIDS: Final = 4_096


def _number(text: str, digits: int) -> int:
    if len(text) != digits or not (text.isascii() and text.isdecimal()):
        raise ValueError(text)
    return int(text)


def wrap(tag: int, content: bytes) -> bytes:
    """The DER of one element with a tag number below 31."""
    n = len(content)
    if n < 0x80:
        return bytes((tag, n)) + content
    octets = (n.bit_length() + 7) // 8
    return bytes((tag, 0x80 | octets)) + n.to_bytes(octets, "big") + content
