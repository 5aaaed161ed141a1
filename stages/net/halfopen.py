"""HALFOPEN: half a handshake, as a row of a numpy array: what a SYN-ACK says, and what of the SYN must be known.

Whoever continues the connection (`net.continuation`, `net.repair`) takes these rows; they come from a scanner's answers
or, by `half_open`, from a hit as it was written down. Addresses and ports are host-order integers. What our SYN offered
(its window scale) is known to who sent it and no part of a row. Pure.
"""

from __future__ import annotations

import math
import struct
from typing import Any, Final, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

HALFOPEN: Final = np.dtype(
    [
        ("peer", "u4"),  # the target's address
        ("ours", "u4"),  # the address that the SYN came from
        ("peer_port", "u2"),
        ("own_port", "u2"),
        ("seq", "u4"),  # of the SYN-ACK: the peer's initial sequence number
        ("ack", "u4"),  # its acknowledgement: our next sequence number
        ("window", "u2"),  # never scaled in a SYN-ACK (RFC 7323 2.2)
        ("mss", "u2"),  # 0: no such option, which means 536 (RFC 9293 3.7.1)
        ("wscale", "i1"),  # shift count; -1: no such option
        ("sack", "u1"),
        ("has_ts", "u1"),
        ("ts_val", "u4"),
        ("ts_ecr", "u4"),
        ("ts", "i8"),  # arrival of the SYN-ACK, microseconds since the epoch
        ("rtt", "f8"),  # seconds; NaN: not known
        ("tag", "u8"),  # the caller's: comes back with what became of it
    ]
)

#: The same as a tuple of its fields -> its bytes. A tenth of what numpy takes for one row.
_pack: Final = struct.Struct("=IIHHIIHHbBBIIqdQ").pack

HalfOpenArray: TypeAlias = npt.NDArray[np.void]

_U8: Final = 0xFF
_U16: Final = 0xFFFF
_U32: Final = 0xFFFFFFFF
_I63: Final = (1 << 63) - 1
#: The parts of a dotted quad: a look-up is the check as well.
_OCTETS: Final = {str(octet): octet for octet in range(256)}
#: A shift count above 14 is used as 14 by who receives it (RFC 7323 2.3), so any byte may stand in a hit.
_MAX_SCALE: Final = 127


class HitLike(Protocol):
    """The plain values of a hit (`stages.core.records.Hit`)."""

    @property
    def ts(self) -> int: ...
    @property
    def ip(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def rtt(self) -> float | None: ...
    @property
    def source(self) -> dict[str, Any] | None: ...
    @property
    def tcp(self) -> dict[str, Any] | None: ...


def row_of(packed: bytes) -> np.void:
    """The row whose bytes they are."""
    row: np.void = np.frombuffer(packed, HALFOPEN)[0]
    return row


def half_open(hit: HitLike, tag: int = 0) -> bytes:
    """The row of a hit as its bytes, so that many become an array at once; or ValueError, which names the field and its
    value: a number out of range, no `tcp`, no `source`, an address that is none of IPv4."""
    if not isinstance(hit.tcp, dict):
        raise ValueError(f"tcp is {hit.tcp!r}: the hit has no SYN-ACK to continue")
    if not isinstance(hit.source, dict):
        raise ValueError(f"source is {hit.source!r}: the hit does not say who sent the SYN")
    tcp, source = hit.tcp, hit.source
    stamped = tcp.get("ts_val") is not None
    return _pack(
        _address("ip", hit.ip),
        _address("source.ip", source.get("ip")),
        _number("port", hit.port, 1, _U16),
        _number("source.port", source.get("port"), 1, _U16),
        _number("tcp.seq", tcp.get("seq"), 0, _U32),
        _number("tcp.ack", tcp.get("ack"), 0, _U32),
        _number("tcp.window", tcp.get("window"), 0, _U16),
        _number("tcp.mss", _or(tcp.get("mss"), 0), 0, _U16),
        _number("tcp.wscale", _or(tcp.get("wscale"), -1), -1, _MAX_SCALE),
        bool(tcp.get("sack")),
        stamped,
        _number("tcp.ts_val", tcp["ts_val"], 0, _U32) if stamped else 0,
        _number("tcp.ts_ecr", _or(tcp.get("ts_ecr"), 0), 0, _U32) if stamped else 0,
        _number("ts", hit.ts, 0, _I63),
        _seconds("rtt", hit.rtt),
        tag,
    )


def _or(value: Any, otherwise: int) -> Any:
    return otherwise if value is None else value


def _number(name: str, value: Any, lowest: int, highest: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= highest:
        raise ValueError(f"{name} is {value!r}, not a number between {lowest} and {highest}")
    return value


def _address(name: str, value: Any) -> int:
    if isinstance(value, str):
        parts = value.split(".")
        if len(parts) == 4 and all(part in _OCTETS for part in parts):
            return _OCTETS[parts[0]] << 24 | _OCTETS[parts[1]] << 16 | _OCTETS[parts[2]] << 8 | _OCTETS[parts[3]]
    raise ValueError(f"{name} is {value!r}, not an IPv4 address")


def _seconds(name: str, value: Any) -> float:
    if value is None:
        return math.nan
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value < math.inf:
        raise ValueError(f"{name} is {value!r}, not a number of seconds")
    return float(value)
