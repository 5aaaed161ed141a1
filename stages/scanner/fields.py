"""Output fields by ZMap's names (zmap(1), src/probe_modules/): what `-f` may ask for, and how to get it. Pure.

`saddr` is the target, also where a router answered for it (ZMap does the same: the outer source is `icmp_responder`);
`sport` is the target's port, `dport` ours. `rtt`, `attempt`, `validated` and `validated_bits` are our additions. A
value is text, an integer, a boolean, a list of objects, or None (unknown, or not part of this answer).
"""

from __future__ import annotations

import datetime as dt
import importlib
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cache
from ipaddress import ip_address
from typing import Any, Final, Literal, TypeAlias

from stages.scanner.answers import ECHOREPLY, ICMP, KNOCK, RST, SYNACK
from stages.scanner.probes import NAMES, entry
from stages.scanner.rows import Answer, address_text

Value: TypeAlias = str | int | float | bool | list[dict[str, Any]] | None

#: All fields of the probe.
EVERY: Final = "*"

#: `icmp_unreach_str` by code (RFC 792; RFC 1122 section 3.2.2.1; RFC 1812 section 5.2.7.1).
UNREACHABLE: Final = (
    "network unreachable",
    "host unreachable",
    "protocol unreachable",
    "port unreachable",
    "fragments required",
    "source route failed",
    "network unknown",
    "host unknown",
    "source host isolated",
    "network admin. prohibited",
    "host admin. prohibited",
    "network unreachable TOS",
    "host unreachable TOS",
    "communication admin. prohibited",
    "host precedence violation",
    "precedence cutoff",
)

#: ICMP type of Destination Unreachable (RFC 792).
DEST_UNREACH: Final = 3

#: What an ICMP error is, by its type (RFC 792).
ERROR_CLASSES: Final = {3: "unreach", 4: "sourcequench", 5: "redirect", 11: "timxceed", 12: "paramprob"}

#: `classification` of icmp_echoscan by ICMP type (RFC 792), as ZMap's module of that name has it.
ECHO_CLASSES: Final = {0: "echoreply", 3: "unreach", 4: "sourcequench", 5: "redirect", 11: "timxceed"}


@dataclass(frozen=True, slots=True)
class Field:
    """One column."""

    name: str
    type: str  #: string | int | bool | float | binary (text of hex) | repeated (list of objects)
    help: str
    get: Callable[[Answer], Value]


def _raw(address: int | str | None) -> int | None:
    """As ZMap has it: the four bytes of the network order read as a little-endian integer. None for IPv6."""
    if address is None:
        return None
    packed = address.to_bytes(4, "big") if isinstance(address, int) else ip_address(address).packed
    return int.from_bytes(packed, "little") if len(packed) == 4 else None


def _tcp(get: Callable[[Answer], Value]) -> Callable[[Answer], Value]:
    """Only of TCP answers whose packet was seen."""
    return lambda a: get(a) if a.kind in (SYNACK, RST, KNOCK) and a.seq is not None else None


def _icmp(get: Callable[[Answer], Value]) -> Callable[[Answer], Value]:
    return lambda a: get(a) if a.kind == ICMP else None


def _timestamp(us: int) -> str:
    """ISO 8601 with milliseconds and an offset without colon, in UTC."""
    seconds, rest = divmod(us, 1_000_000)
    moment = dt.datetime.fromtimestamp(seconds, dt.UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{rest // 1000:03d}+0000"


def _unreachable(answer: Answer) -> str | None:
    if answer.icmp_type != DEST_UNREACH:
        return None
    return UNREACHABLE[answer.icmp_code] if answer.icmp_code < len(UNREACHABLE) else "unknown"


def _rtt(answer: Answer) -> float | None:
    rtt = answer.rtt
    return None if rtt is None or rtt != rtt else round(rtt, 6)


_FIRST: Final = (
    Field("saddr", "string", "address of the target", lambda a: address_text(a.address)),
    Field("saddr_raw", "int", "the same as an integer, network order read as little-endian", lambda a: _raw(a.address)),
    Field("daddr", "string", "our address", lambda a: None if a.daddr is None else address_text(a.daddr)),
    Field("daddr_raw", "int", "the same as an integer", lambda a: _raw(a.daddr)),
    Field("ipid", "int", "IP identification of the answer", lambda a: a.ipid),
    Field("ttl", "int", "TTL of the answer", lambda a: a.ttl),
)

TCP_FIELDS: Final = (
    Field("sport", "int", "port of the target", lambda a: a.port),
    Field("dport", "int", "our port", lambda a: a.dport),
    Field("seqnum", "int", "TCP sequence number of the answer", _tcp(lambda a: a.seq)),
    Field("acknum", "int", "TCP acknowledgement number", _tcp(lambda a: a.ack)),
    Field("window", "int", "TCP window", _tcp(lambda a: a.window)),
    Field("tcpopt_mss", "int", "maximum segment size (RFC 9293 section 3.7.1)", _tcp(lambda a: a.mss or None)),
    Field(
        "tcpopt_wscale", "int", "window scale as a factor (RFC 7323 section 2)",
        _tcp(lambda a: None if a.wscale < 0 else 1 << a.wscale),
    ),
    Field("tcpopt_sack_perm", "bool", "SACK permitted (RFC 2018)", _tcp(lambda a: bool(a.sack))),
    Field("tcpopt_ts_val", "int", "timestamp (RFC 7323 section 3)", _tcp(lambda a: a.ts_val if a.has_ts else None)),
    Field("tcpopt_ts_ecr", "int", "timestamp echo reply", _tcp(lambda a: a.ts_ecr if a.has_ts else None)),
    Field("classification", "string", "synack, rst or icmp", lambda a: a.classification),
    Field("success", "bool", "the port is open", lambda a: a.success),
)  # fmt: skip

_ICMP_ERROR: Final = (
    Field("icmp_responder", "string", "who sent the ICMP error", _icmp(lambda a: address_text(a.responder))),
    Field("icmp_type", "int", "ICMP type", _icmp(lambda a: a.icmp_type)),
    Field("icmp_code", "int", "ICMP code", _icmp(lambda a: a.icmp_code)),
    Field(
        "icmp_class",
        "string",
        "unreach, sourcequench, redirect, timxceed or paramprob",
        _icmp(lambda a: ERROR_CLASSES.get(a.icmp_type, "other")),
    ),
    Field("icmp_unreach_str", "string", "the code of a Destination Unreachable in words", _icmp(_unreachable)),
)

ECHO_FIELDS: Final = (
    Field("type", "int", "ICMP type", lambda a: a.icmp_type),
    Field("code", "int", "ICMP code", lambda a: a.icmp_code),
    Field("icmp_id", "int", "identifier", lambda a: a.ack if a.kind == ECHOREPLY else None),
    Field("seq", "int", "sequence number", lambda a: a.seq if a.kind == ECHOREPLY else None),
    Field(
        "classification", "string", "echoreply, unreach, sourcequench, redirect, timxceed or other",
        lambda a: ECHO_CLASSES.get(a.icmp_type, "other"),
    ),
    Field("success", "bool", "the target answered the echo request", lambda a: a.success),
    Field("data", "binary", "payload of the reply, in hex", lambda a: a.data.hex() if a.kind == ECHOREPLY else None),
)  # fmt: skip

#: What the payload of icmp_echo_time begins with: seconds, microseconds, the target's address.
_TIMED_BYTES: Final = 12


def _timed(first: int, order: Literal["big", "little"] = "big") -> Callable[[Answer], Value]:
    """Four bytes of what the payload of an echo reply brought back."""

    def get(answer: Answer) -> Value:
        if answer.kind != ECHOREPLY or len(answer.data) < _TIMED_BYTES:
            return None
        return int.from_bytes(answer.data[first : first + 4], order)

    return get


def _rtt_us(answer: Answer) -> int | None:
    rtt = answer.rtt
    return None if rtt is None or rtt != rtt else round(rtt * 1e6)


ECHO_TIME_FIELDS: Final = (
    *ECHO_FIELDS,
    Field("sent_timestamp_ts", "int", "time of sending that the reply brought back: seconds", _timed(0)),
    Field("sent_timestamp_us", "int", "and microseconds, in steps of 1,000", _timed(4)),
    Field("recv_timestamp_ts", "int", "time of arrival: seconds", lambda a: a.ts // 1_000_000),
    Field("recv_timestamp_us", "int", "and microseconds", lambda a: a.ts % 1_000_000),
    Field("rtt_us", "int", "microseconds from probe to answer, by our own log", _rtt_us),
    Field("dst_raw", "int", "target that the reply brought back, network order read as little-endian",
          _timed(8, "little")),
)  # fmt: skip

_LAST: Final = (
    Field("repeat", "bool", "the target had answered before", lambda a: bool(a.repeat)),
    Field("cooldown", "bool", "came after sending had ended", lambda a: bool(a.cooldown)),
    Field("timestamp_str", "string", "time of arrival, ISO 8601", lambda a: _timestamp(a.ts)),
    Field("timestamp_ts", "int", "time of arrival, seconds since the epoch", lambda a: a.ts // 1_000_000),
    Field("timestamp_us", "int", "time of arrival, microseconds of its second", lambda a: a.ts % 1_000_000),
    Field("rtt", "float", "seconds from probe to answer", _rtt),
    Field("attempt", "int", "which of the probes to the target it answers, from 0", lambda a: a.attempt),
    Field("validated", "string", "by what it is bound to its probe: port, number, echo, ipid, cookie",
          lambda a: a.validated),
    Field("validated_bits", "int", "bits of these that only who saw the probe knows", lambda a: a.bits),
)  # fmt: skip

#: What every probe module has.
COMMON_FIELDS: Final = frozenset((*_FIRST, *_ICMP_ERROR, *_LAST))

#: Names that older manuals of ZMap have, and what they are called now. A `-` in a name is a `_`, too.
OLD_NAMES: Final = {
    "response": "classification",
    "seq": "seqnum",
    "ack": "acknum",
    "in_cooldown": "cooldown",
    "is_repeat": "repeat",
    "timestamp": "timestamp_str",
}


def alias_of(name: str, known: Container[str]) -> str:
    """The name that the field called `name` has now, if there is one; else `name`."""
    if name in known:
        return name
    plain = name.replace("-", "_")
    return plain if plain in known else OLD_NAMES.get(plain, name)


def old_timestamp(answer: Answer) -> str:
    """`2013-08-15 18:55:47.681`, as ZMap 1 wrote `timestamp`; in UTC."""
    return _timestamp(answer.ts).replace("T", " ").removesuffix("+0000")


def _named(field: Field, name: str) -> Field:
    """The field under the name that it was asked for by: scripts look for that in the header."""
    get = old_timestamp if name == "timestamp" and name != field.name else field.get
    return replace(field, name=name, get=get)


@cache
def is_over_udp(probe: str) -> bool:
    """Whether it is one of ours whose answers are datagrams."""
    return probe in NAMES and entry(probe).transport == "udp"


@cache
def own(probe: str) -> tuple[Field, ...]:
    """The fields that a probe module has beside those that all have. Raises ValueError for one that there is not."""
    file, _, name = entry(probe).fields.partition(":")
    fields: tuple[Field, ...] = getattr(importlib.import_module(file), name)
    return fields


def own_names(probe: str) -> tuple[str, ...]:
    """The names of its own fields, and of those about ICMP errors."""
    return tuple(field.name for field in (*own(probe), *_ICMP_ERROR))


@cache
def fields_of(probe: str) -> tuple[Field, ...]:
    """All fields of a probe module, in order."""
    return (*_FIRST, *own(probe), *_ICMP_ERROR, *_LAST)


def default_fields(probe: str, ports: int) -> tuple[Field, ...]:
    """`saddr`, and `sport` too where several ports are scanned."""
    return choose("saddr,sport" if ports > 1 and _has(probe, "sport") else "saddr", probe)


def choose(text: str, probe: str) -> tuple[Field, ...]:
    """The fields of `-f`: a comma list of names, or `*`. Raises ValueError that names the field and the nearest one."""
    return pick(text, fields_of(probe), probe)


def pick(text: str, fields: Sequence[Field], owner: str) -> tuple[Field, ...]:
    """The fields that `text` names, out of those that there are. Raises ValueError."""
    known = {field.name: field for field in fields}
    if text.strip() == EVERY:
        return tuple(known.values())
    chosen = []
    for name in (part.strip() for part in text.split(",")):
        field = known.get(alias_of(name, known))
        if field is None:
            raise ValueError(f"{owner} has no field {name!r}{_nearest(name, tuple(known))}")
        chosen.append(_named(field, name))
    return tuple(chosen)


def _has(probe: str, name: str) -> bool:
    return any(field.name == name for field in fields_of(probe))


def _nearest(word: str, known: Sequence[str]) -> str:
    close = get_close_matches(word, known, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""
