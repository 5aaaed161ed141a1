"""Fields as columns: from an array of ANSWER to all values of one field at once, and which of them are known. Pure.

What a field is for one answer says `stages.scanner.fields`; the fields here are those whose value stands in the array,
and a test holds both to each other. Every other field (what a payload says) is asked row by row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from stages.scanner import fields
from stages.scanner.answers import ICMP, KIND_NAMES, KNOCK, RST, SUCCESSES, SYNACK, AnswerArray
from stages.scanner.fields import Field

Bools: TypeAlias = npt.NDArray[np.bool_]
Values: TypeAlias = npt.NDArray[Any]

#: Values of a byte.
_BYTE: Final = 256


@dataclass(frozen=True, slots=True)
class Column:
    """`known` None: always. `words`: the values are bytes that stand for these texts."""

    values: Callable[[AnswerArray], Values]
    known: Callable[[AnswerArray], Bools] | None = None
    words: Mapping[int, str | None] | None = None


def table(codes: Mapping[int, object]) -> Bools:
    """For every byte whether it is among `codes`: to look a column up in."""
    found = np.zeros(_BYTE, np.bool_)
    found[list(codes)] = True
    return found


def _of_kinds(*kinds: int) -> Callable[[AnswerArray], Bools]:
    among = table(dict.fromkeys(kinds))
    return lambda array: among[array["kind"]]


_TCP: Final = _of_kinds(SYNACK, RST, KNOCK)
_ERROR: Final = _of_kinds(ICMP)
_SUCCESS: Final = _of_kinds(*SUCCESSES)


def _plain(name: str, known: Callable[[AnswerArray], Bools] | None = None) -> Column:
    return Column(lambda array: array[name], known)


def _where(name: str, holds: Callable[[Values], Bools]) -> Callable[[AnswerArray], Bools]:
    return lambda array: _TCP(array) & holds(array[name])


def _swapped(name: str) -> Column:
    return Column(lambda array: array[name].byteswap())


def _rtt_known(array: AnswerArray) -> Bools:
    known: Bools = array["rtt"] == array["rtt"]  # NaN is no number, not even itself
    return known


_HAS_TS: Final = _where("has_ts", lambda values: values != 0)

#: What a Destination Unreachable says in words, by its code.
_CODES: Final = dict(enumerate(fields.UNREACHABLE)) | {
    code: "unknown" for code in range(len(fields.UNREACHABLE), _BYTE)
}

#: The same in every probe module.
_COMMON: Final = {
    "saddr": _plain("address"),
    "saddr_raw": _swapped("address"),
    "daddr": _plain("daddr"),
    "daddr_raw": _swapped("daddr"),
    "ipid": _plain("ipid"),
    "ttl": _plain("ttl"),
    "icmp_responder": _plain("responder", _ERROR),
    "icmp_type": _plain("icmp_type", _ERROR),
    "icmp_code": _plain("icmp_code", _ERROR),
    "icmp_unreach_str": Column(
        lambda array: array["icmp_code"],
        lambda array: _ERROR(array) & (array["icmp_type"] == fields.DEST_UNREACH),
        _CODES,
    ),
    "icmp_class": Column(
        lambda array: array["icmp_type"],
        _ERROR,
        {kind: fields.ERROR_CLASSES.get(kind, "other") for kind in range(_BYTE)},
    ),
    "repeat": Column(lambda array: array["repeat"] != 0),
    "cooldown": Column(lambda array: array["cooldown"] != 0),
    "timestamp_ts": Column(lambda array: array["ts"] // 1_000_000),
    "timestamp_us": Column(lambda array: array["ts"] % 1_000_000),
    "rtt": Column(lambda array: np.round(array["rtt"], 6), _rtt_known),
    "attempt": _plain("attempt"),
    "validated_bits": _plain("bits"),
}

#: What the probes over TCP have besides.
_OF_TCP: Final = {
    "sport": _plain("port"),
    "dport": _plain("dport"),
    "seqnum": _plain("seq", _TCP),
    "acknum": _plain("ack", _TCP),
    "window": _plain("window", _TCP),
    "tcpopt_mss": _plain("mss", _where("mss", lambda values: values != 0)),
    "tcpopt_wscale": Column(
        lambda array: 1 << np.maximum(array["wscale"].astype(np.int64), 0),
        _where("wscale", lambda values: values >= 0),
    ),
    "tcpopt_sack_perm": Column(lambda array: array["sack"] != 0, _TCP),
    "tcpopt_ts_val": _plain("ts_val", _HAS_TS),
    "tcpopt_ts_ecr": _plain("ts_ecr", _HAS_TS),
    "classification": Column(lambda array: array["kind"], None, KIND_NAMES),
    "success": Column(_SUCCESS),
}

_OF_ECHO: Final = {
    "success": Column(_SUCCESS),
    "type": _plain("icmp_type"),
    "code": _plain("icmp_code"),
    "classification": Column(
        lambda array: array["icmp_type"],
        None,
        {kind: fields.ECHO_CLASSES.get(kind, "other") for kind in range(_BYTE)},
    ),
}

#: Datagrams: `success` and our port are what they are everywhere.
_OF_ALL: Final = {"success": Column(_SUCCESS), "dport": _plain("dport")}


def column_of(field: Field, probe: str) -> Column | None:
    """The column of a field of a probe module; None where rows have to be asked."""
    if field in fields.COMMON_FIELDS:
        return _COMMON.get(field.name)
    if field in fields.TCP_FIELDS:
        return _OF_TCP.get(field.name)
    if field in fields.ECHO_FIELDS:
        return _OF_ECHO.get(field.name)
    return _OF_ALL.get(field.name) if fields.is_over_udp(probe) else None
