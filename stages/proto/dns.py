"""DNS messages (RFC 1035): the questions of a probe, and what an answer says. Pure; any bytes may come in.

`read` gives what ZMap's dns module gives, by its names. Names are dotted text without the last dot; what is no
printable character in a label, or a dot, is escaped as in a zone file (`\\DDD`).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Final

HEADER_BYTES: Final = 12
#: RFC 1035 section 2.3.4.
MAX_LABEL: Final = 63
MAX_NAME: Final = 255
#: Records read of one message: a message of 64 KiB has no more than this of eleven bytes, and a lying count says more.
MAX_RECORDS: Final = 6_000
#: Steps through compression pointers of one name: each must go backwards, so this only bounds the work.
_MAX_JUMPS: Final = 128

TYPES: Final = {
    "A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28, "RRSIG": 46, "ALL": 255,
}  # fmt: skip
TYPE_NAMES: Final = {number: name for name, number in TYPES.items()}
#: What ZMap calls a type that it does not know.
UNKNOWN_TYPE: Final = "BAD QTYPE"

_CLASS_IN: Final = 1
_HEADER: Final = struct.Struct("!6H")
_TAIL: Final = struct.Struct("!HHIH")
_SOA: Final = struct.Struct("!5I")
_RRSIG: Final = struct.Struct("!HBBIIIH")


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked."""

    name: str
    type: int = TYPES["A"]
    recursive: bool = True

    def body(self) -> bytes:
        """The message behind its id: flags, counts, the question. Raises ValueError for a name that cannot be asked."""
        flags = 0x0100 if self.recursive else 0
        return struct.pack("!5H", flags, 1, 0, 0, 0) + self.section()

    def section(self) -> bytes:
        """The question section."""
        return _wire_name(self.name) + struct.pack("!HH", self.type, _CLASS_IN)


def parse_questions(text: str) -> tuple[Question, ...]:
    """`A,example.com;AAAA:nr,www.example.com`: type and name; `nr`: recursion is not desired.

    Raises ValueError that names what is wrong.
    """
    return tuple(_question(part) for part in text.split(";"))


def _question(text: str) -> Question:
    kind, comma, name = text.partition(",")
    if not comma:
        raise ValueError(f"a DNS question is TYPE,NAME, not {text!r}")
    kind, colon, flag = kind.partition(":")
    if colon and flag != "nr":
        raise ValueError(f"behind the type of a DNS question may stand :nr, not {flag!r}")
    if kind not in TYPES:
        raise ValueError(f"no DNS type {kind!r}; there are {', '.join(TYPES)}")
    question = Question(name, TYPES[kind], not colon)
    question.section()
    return question


def _wire_name(name: str) -> bytes:
    if name in ("", "."):
        if not name:
            raise ValueError("a DNS question without a name")
        return b"\0"
    wire = b""
    for label in name.removesuffix(".").split("."):
        try:
            raw = label.encode("ascii")
        except UnicodeEncodeError:
            raw = label.encode("idna")
        if not 1 <= len(raw) <= MAX_LABEL:
            raise ValueError(f"{name!r} is no DNS name: a label has 1 to {MAX_LABEL} characters")
        wire += bytes([len(raw)]) + raw
    if len(wire) + 1 > MAX_NAME:
        raise ValueError(f"{name!r} is no DNS name: longer than {MAX_NAME} bytes")
    return wire + b"\0"


class _Malformed(Exception):
    """Inside: the message ends too early, or a name goes astray."""


def read(data: bytes) -> dict[str, Any]:
    """What a message says. Always all keys: what could not be read is None or an empty list, `dns_parse_err` is 1."""
    found: dict[str, Any] = dict.fromkeys(
        ("dns_id", "dns_rd", "dns_tc", "dns_aa", "dns_opcode", "dns_qr", "dns_rcode", "dns_cd", "dns_ad", "dns_z",
         "dns_ra", "dns_qdcount", "dns_ancount", "dns_nscount", "dns_arcount")
    )  # fmt: skip
    lists: dict[str, list[dict[str, Any]]] = {
        name: [] for name in ("dns_questions", "dns_answers", "dns_authorities", "dns_additionals")
    }
    found |= lists
    found |= {"dns_parse_err": 1, "dns_unconsumed_bytes": len(data)}
    if len(data) < HEADER_BYTES:
        return found
    ident, flags, *counts = _HEADER.unpack_from(data)
    found |= {
        "dns_id": ident, "dns_qr": flags >> 15, "dns_opcode": flags >> 11 & 15, "dns_aa": flags >> 10 & 1,
        "dns_tc": flags >> 9 & 1, "dns_rd": flags >> 8 & 1, "dns_ra": flags >> 7 & 1, "dns_z": flags >> 6 & 1,
        "dns_ad": flags >> 5 & 1, "dns_cd": flags >> 4 & 1, "dns_rcode": flags & 15,
        "dns_qdcount": counts[0], "dns_ancount": counts[1], "dns_nscount": counts[2], "dns_arcount": counts[3],
    }  # fmt: skip
    at, left = HEADER_BYTES, MAX_RECORDS
    try:
        for (name, into), count in zip(lists.items(), counts, strict=True):
            for _ in range(count):
                if not left:
                    raise _Malformed
                left -= 1
                at = _read_question(data, at, into) if name == "dns_questions" else _read_record(data, at, into)
                found["dns_unconsumed_bytes"] = len(data) - at
    except _Malformed:
        return found
    found["dns_unconsumed_bytes"] = len(data) - at
    found["dns_parse_err"] = int(at != len(data))
    return found


def _read_question(data: bytes, at: int, into: list[dict[str, Any]]) -> int:
    name, at = _read_name(data, at)
    if at + 4 > len(data):
        raise _Malformed
    kind, klass = struct.unpack_from("!HH", data, at)
    into.append(
        {"name": name, "qtype": kind, "qtype_str": TYPE_NAMES.get(kind, UNKNOWN_TYPE), "qclass": klass}
    )  # fmt: skip
    return at + 4


def _read_record(data: bytes, at: int, into: list[dict[str, Any]]) -> int:
    name, at = _read_name(data, at)
    if at + _TAIL.size > len(data):
        raise _Malformed
    kind, klass, ttl, length = _TAIL.unpack_from(data, at)
    at += _TAIL.size
    if at + length > len(data):
        raise _Malformed
    text = _rdata(data, at, length, kind)
    into.append({
        "name": name, "type": kind, "type_str": TYPE_NAMES.get(kind, UNKNOWN_TYPE), "class": klass, "ttl": ttl,
        "rdlength": length, "rdata_is_parsed": int(text is not None),
        "rdata": text if text is not None else data[at : at + length].hex(),
    })  # fmt: skip
    return at + int(length)


def _rdata(data: bytes, at: int, length: int, kind: int) -> str | None:
    """The data of a record as text; None where it is not understood: then it is given in hex."""
    raw, end = data[at : at + length], at + length
    try:
        if kind == TYPES["A"]:
            return str(IPv4Address(raw)) if length == 4 else None
        if kind == TYPES["AAAA"]:
            return str(IPv6Address(raw)) if length == 16 else None
        if kind in (TYPES["NS"], TYPES["CNAME"], TYPES["PTR"]):
            return _whole_name(data, at, end)
        if kind == TYPES["MX"] and length > 2:
            return f"{int.from_bytes(raw[:2], 'big')} {_whole_name(data, at + 2, end)}"
        if kind == TYPES["TXT"] and length:
            return _strings(raw)
        if kind == TYPES["SOA"]:
            server, then = _read_name(data, at)
            person, then = _read_name(data, then)
            if then + _SOA.size != end:
                return None
            return " ".join((server, person, *map(str, _SOA.unpack_from(data, then))))
        if kind == TYPES["RRSIG"] and length > _RRSIG.size:
            fields = _RRSIG.unpack_from(raw)
            signer, then = _read_name(data, at + _RRSIG.size)
            if then > end:
                return None
            return " ".join(
                (TYPE_NAMES.get(fields[0], str(fields[0])), *map(str, fields[1:]), signer, data[then:end].hex())
            )
    except _Malformed:
        return None
    return None


def _strings(raw: bytes) -> str | None:
    """The character strings of a TXT record, one behind the other; None if they do not fill it."""
    text, at = "", 0
    while at < len(raw):
        size = raw[at]
        if at + 1 + size > len(raw):
            return None
        text += raw[at + 1 : at + 1 + size].decode("utf-8", "backslashreplace")
        at += 1 + size
    return text


def _whole_name(data: bytes, at: int, end: int) -> str:
    """A name that ends where the data of its record ends."""
    name, then = _read_name(data, at)
    if then != end:
        raise _Malformed
    return name


def _read_name(data: bytes, at: int) -> tuple[str, int]:
    """(the name, where the bytes behind it begin). Pointers must go backwards (RFC 1035 section 4.1.4)."""
    labels: list[str] = []
    behind, size, lowest = -1, 1, at
    for _ in range(_MAX_JUMPS + MAX_NAME):
        if at >= len(data):
            raise _Malformed
        length = data[at]
        if length >= 0xC0:
            if at + 2 > len(data):
                raise _Malformed
            behind = at + 2 if behind < 0 else behind
            at = (length & 0x3F) << 8 | data[at + 1]
            if at >= lowest:
                raise _Malformed
            lowest = at
            continue
        if length > MAX_LABEL:
            raise _Malformed
        at += 1
        if not length:
            return ".".join(labels), at if behind < 0 else behind
        size += 1 + length
        if at + length > len(data) or size > MAX_NAME:
            raise _Malformed
        labels.append(_label(data[at : at + length]))
        at += length
    raise _Malformed


def _label(raw: bytes) -> str:
    return "".join(chr(byte) if 0x21 <= byte < 0x7F and byte not in b".\\" else f"\\{byte:03d}" for byte in raw)
