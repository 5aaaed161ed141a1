"""Payload templates by ZMap's rules: a file with `${FIELD}` or `${FIELD=n}` in it. Pure.

A random field is drawn from a stream of 64-bit words that one number, the seed, begins: word k is splitmix64 (Steele,
Lea and Flood, 2014) of the seed plus k + 1 times its increment. Each random field starts a word of its own and takes a
byte of it for each character, the lowest first: the byte b stands for character number b * n // 256 of an alphabet of
n. (So some characters are drawn 5 times in 256 where others are drawn 4 times.) Who knows the seed knows the packet:
the same target gets the same bytes from any thread, and an answer can be compared with what was sent.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final

#: Longest field: more does not fit into a datagram.
MAX_FIELD_BYTES: Final = 65_507

GOLDEN: Final = 0x9E3779B97F4A7C15  #: splitmix64's increment and multipliers
MIX_A: Final = 0xBF58476D1CE4E5B9
MIX_B: Final = 0x94D049BB133111EB
_MASK: Final = (1 << 64) - 1

#: Seconds from 1900 (RFC 5905 section 6) to 1970.
NTP_EPOCH: Final = 2_208_988_800

UPPER: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"
DIGITS: Final = b"0123456789"
#: Alphabets of the random fields; None: any byte.
ALPHABETS: Final = {
    "RAND_BYTE": None,
    "RAND_DIGIT": DIGITS,
    "RAND_ALPHA": UPPER + UPPER.lower(),
    "RAND_ALPHANUM": UPPER + UPPER.lower() + DIGITS,
}

#: Field -> (most bytes that it becomes, what it is). Random fields and HEX have the length that is asked for.
FIELDS: Final = {
    "SADDR": (15, "our address, dotted quad"),
    "SADDR_N": (4, "our address, 4 bytes in network order"),
    "DADDR": (15, "the target's address, dotted quad"),
    "DADDR_N": (4, "the target's address, 4 bytes in network order"),
    "SPORT": (5, "our port, decimal"),
    "SPORT_N": (2, "our port, 2 bytes in network order"),
    "DPORT": (5, "the target's port, decimal"),
    "DPORT_N": (2, "the target's port, 2 bytes in network order"),
    "RAND_BYTE": (0, "=n: n random bytes"),
    "RAND_DIGIT": (0, "=n: n random digits"),
    "RAND_ALPHA": (0, "=n: n random letters, upper and lower case"),
    "RAND_ALPHANUM": (0, "=n: n random letters and digits"),
    "HEX": (0, "=00ff: these bytes"),
    "UNIXTIME_SEC": (4, "time of sending, seconds since 1970, 4 bytes in network order"),
    "UNIXTIME_USEC": (4, "microseconds of that second, 4 bytes in network order"),
    "NTP_TIMESTAMP": (8, "time of sending as NTP writes it (RFC 5905 section 6), 8 bytes"),
}

_SPECIFIER: Final = re.compile(rb"\$\{([^}]*)\}", re.DOTALL)


class FieldError(ValueError):
    """A field of a template that there is not, or that has a wrong length."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a template."""

    name: str
    length: int  #: bytes that it becomes, at most
    word: int = 0  #: random fields: number of the first word of the stream


@dataclass(frozen=True, slots=True)
class Values:
    """What the fields stand for in one packet."""

    saddr: int
    daddr: int
    sport: int
    dport: int
    seed: int  #: u64
    microseconds: int = 0  #: since 1970
    v6: bool = False  #: the addresses are IPv6: as text, and in 16 bytes


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed template: bytes and fields in order. No two neighbours are bytes."""

    parts: tuple[bytes | Field, ...]

    @classmethod
    def parse(cls, raw: bytes) -> Template:
        """Raises FieldError, which names the field, for one that there is not or a wrong length."""
        parts: list[bytes | Field] = []
        literal, at, word = b"", 0, 0
        for found in _SPECIFIER.finditer(raw):
            literal += raw[at : found.start()]
            at = found.end()
            field = _field(found[1], word)
            if isinstance(field, bytes):
                literal += field
                continue
            if field.name in ALPHABETS:
                word += -(-field.length // 8)
            if literal:
                parts.append(literal)
                literal = b""
            parts.append(field)
        literal += raw[at:]
        if literal:
            parts.append(literal)
        return cls(tuple(parts))

    @classmethod
    def literal(cls, raw: bytes) -> Template:
        """Bytes that stand for themselves."""
        return cls((raw,) if raw else ())

    @property
    def constant(self) -> bytes | None:
        """The bytes, if they are the same in every packet."""
        if not self.parts:
            return b""
        return self.parts[0] if len(self.parts) == 1 and isinstance(self.parts[0], bytes) else None

    @property
    def max_length(self) -> int:
        """Bytes of the longest rendering."""
        return sum(part.length if isinstance(part, Field) else len(part) for part in self.parts)

    @property
    def one_length(self) -> bool:
        """Whether all renderings have the same length."""
        return not any(isinstance(part, Field) and part.name in _DECIMAL for part in self.parts)

    @property
    def randoms(self) -> tuple[Field, ...]:
        """The random fields in order."""
        return tuple(part for part in self.parts if isinstance(part, Field) and part.name in ALPHABETS)

    def render(self, values: Values) -> bytes:
        """The payload of one packet."""
        return b"".join(part if isinstance(part, bytes) else render_field(part, values) for part in self.parts)


#: Fields whose length is known only when they are rendered.
_DECIMAL: Final = frozenset({"SADDR", "DADDR", "SPORT", "DPORT"})


def render_field(field: Field, values: Values) -> bytes:
    """One field of one packet."""
    name = field.name
    if name in ALPHABETS:
        raw = b"".join(word.to_bytes(8, "little") for word in stream(values.seed, field.word, -(-field.length // 8)))
        alphabet = ALPHABETS[name]
        drawn = raw[: field.length]
        return drawn if alphabet is None else bytes(alphabet[byte * len(alphabet) >> 8] for byte in drawn)
    if name in ("SADDR", "DADDR", "SADDR_N", "DADDR_N"):
        address = values.saddr if name.startswith("S") else values.daddr
        if values.v6:
            return address.to_bytes(16, "big") if name.endswith("_N") else str(IPv6Address(address)).encode()
        return address.to_bytes(4, "big") if name.endswith("_N") else str(IPv4Address(address)).encode()
    if name in ("SPORT", "DPORT", "SPORT_N", "DPORT_N"):
        port = values.sport if name.startswith("S") else values.dport
        return port.to_bytes(2, "big") if name.endswith("_N") else str(port).encode()
    seconds, rest = divmod(values.microseconds, 1_000_000)
    if name == "UNIXTIME_SEC":
        return (seconds & 0xFFFFFFFF).to_bytes(4, "big")
    if name == "UNIXTIME_USEC":
        return rest.to_bytes(4, "big")
    return ((seconds + NTP_EPOCH) & 0xFFFFFFFF).to_bytes(4, "big") + (rest * (1 << 32) // 1_000_000).to_bytes(4, "big")


def stream(seed: int, first: int, count: int) -> Iterator[int]:
    """Words first .. first + count - 1 of the random stream of a seed."""
    for number in range(first, first + count):
        z = (seed + (number + 1) * GOLDEN) & _MASK
        z = ((z ^ z >> 30) * MIX_A) & _MASK
        z = ((z ^ z >> 27) * MIX_B) & _MASK
        yield z ^ z >> 31


def fields_text() -> str:
    """The fields and what they stand for, one a line."""
    return "".join(f"{name}: {text}\n" for name, (_, text) in FIELDS.items())


def _field(specifier: bytes, word: int) -> Field | bytes:
    """What stands in `${...}`: a field, or the bytes of HEX."""
    text = specifier.decode("latin-1")
    name, equals, value = text.partition("=")
    if name not in FIELDS:
        raise FieldError(f"no template field {name!r}; there are {', '.join(FIELDS)}")
    if name == "HEX":
        try:
            return bytes.fromhex(value)
        except ValueError:
            raise FieldError(f"template field HEX takes pairs of hexadecimal digits, not {value!r}") from None
    length, _ = FIELDS[name]
    if length:
        if equals:
            raise FieldError(f"template field {name} has no length of its own, and {value!r} is given")
        return Field(name, length)
    if not equals:
        return Field(name, 1, word)
    if not (value.isascii() and value.isdecimal() and 1 <= int(value) <= MAX_FIELD_BYTES):
        raise FieldError(f"template field {name} takes a length of 1 to {MAX_FIELD_BYTES}, not {value!r}")
    return Field(name, int(value), word)
