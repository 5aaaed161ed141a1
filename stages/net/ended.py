"""ENDED: what became of one connection with a fixed dialogue, as a row of a numpy array, and a batch of them.

It tells what `net.conversation.Conversation` tells of one connection, without an object for each; where one is wanted
after all it is made of the row. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from stages.net.conversation import Conversation, Dialogue, Phase

#: `phase`: where it ended. Nothing of what we sent was acknowledged: WRITE. (CONNECT does not occur: a SYN-ACK came.)
WRITE: Final = 1
READ: Final = 2
PHASES: Final[dict[int, Phase]] = {WRITE: "write", READ: "read"}

#: `closed_by`.
PEER: Final = 1
US: Final = 2
_CLOSED_BY: Final[dict[int, Literal["peer", "us"]]] = {PEER: "peer", US: "us"}

ENDED: Final = np.dtype(
    [
        ("tag", "u8"),  # as in HALFOPEN
        ("started", "i8"),  # microseconds since the epoch: when it was taken up, less the round trip of the SYN
        ("connected", "f8"),  # seconds from `started`: the round trip of the SYN, 0 where it is not known
        ("first_byte", "f8"),  # NaN: none came
        ("ended", "f8"),
        ("data_at", "i8"),  # where its bytes stand in `Ended.data`
        ("data_size", "u4"),  # how many: no more than `max_bytes`
        ("size", "u4"),  # bytes received, the same number
        ("sent", "u4"),  # bytes of ours that left, each counted once
        ("acked", "u4"),  # of these, acknowledged by the peer
        ("peer", "u4"),
        ("ours", "u4"),
        ("icmp_sender", "u4"),
        ("peer_port", "u2"),
        ("own_port", "u2"),
        (
            "errno",
            "u2",
        ),  # 0: none. ECONNRESET: a RST; ENOBUFS, EADDRINUSE: our limits; others: ICMP
        ("phase", "u1"),
        ("failed", "u1"),  # `errno` ended it; otherwise it is an ICMP error, a hint
        ("has_icmp", "u1"),
        ("icmp_type", "u1"),
        ("icmp_code", "u1"),
        ("truncated", "u1"),  # there was more than `max_bytes`
        ("timed_out", "u1"),  # ended by a deadline
        ("closed_by", "u1"),
        ("control", "u1"),  # the host has answered a SYN to its control port
        ("left_host", "u1"),  # 0: no packet of ours has left
    ],
    align=True,
)

EndedArray: TypeAlias = npt.NDArray[np.void]


@dataclass(frozen=True, slots=True)
class Ended:
    """A batch of connections that have ended: rows of ENDED, and the bytes that came, which the rows point into."""

    rows: EndedArray
    data: bytes

    def __len__(self) -> int:
        return len(self.rows)

    def body(self, row: Any) -> bytes:
        """The bytes received on one of the connections."""
        at = int(row["data_at"])
        return self.data[at : at + int(row["data_size"])]

    def part(self, at: Any) -> Ended:
        """Those at these places (an index of numpy), with all the bytes."""
        return Ended(self.rows[at], self.data)


#: For one who has a tag for each connection: a batch of plain ones, their tags, and whether control ports were asked.
OnEnded = Callable[[Ended, list[Any], bool], None]


def plain(rows: EndedArray) -> npt.NDArray[np.bool_]:
    """Of each, whether bytes came and nothing is to be said of an error."""
    mask: npt.NDArray[np.bool_] = (
        (rows["data_size"] > 0) & (rows["failed"] == 0) & (rows["errno"] == 0) & (rows["has_icmp"] == 0)
    )
    return mask


def conversation_of(batch: Ended, at: int, dialogue: Dialogue, tag: object, *, asked: bool) -> Conversation:
    """One of a batch as a Conversation. `asked`: control ports were."""
    row = batch.rows[at]
    body = batch.body(row)
    made = Conversation(_quad(row["peer"]), int(row["peer_port"]), dialogue, tag, 0.0, len(body))
    made.via = "raw"
    made.started = int(row["started"])
    made.connected, made.first_byte, made.ended = (_seconds(row[name]) for name in ("connected", "first_byte", "ended"))
    made.phase = PHASES[int(row["phase"])]
    made.failed, made.errno = bool(row["failed"]), int(row["errno"]) or None
    if row["has_icmp"]:
        sender = int(row["icmp_sender"])
        made.icmp = int(row["icmp_type"]), int(row["icmp_code"]), _quad(sender) if sender else ""
    made.left_host = bool(row["left_host"])
    made.sent, made.size = int(row["sent"]), len(body)
    made.data = [body] if body else []
    made.truncated, made.timed_out = bool(row["truncated"]), bool(row["timed_out"])
    made.closed_by = _CLOSED_BY.get(int(row["closed_by"]))
    made.control = bool(row["control"]) if asked else None
    return made


def _quad(address: Any) -> str:
    return str(IPv4Address(int(address)))


def _seconds(value: Any) -> float | None:
    return None if math.isnan(value) else float(value)
