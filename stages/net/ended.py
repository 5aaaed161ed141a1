"""ENDED: what became of one connection with a fixed dialogue, as a row of a numpy array, and a batch of them.

It tells what `net.conversation.Conversation` tells of one connection, without an object for each. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

#: `phase`: where it ended. Nothing of what we sent was acknowledged: WRITE. (CONNECT does not occur: a SYN-ACK came.)
WRITE: Final = 1
READ: Final = 2
PHASES: Final = {WRITE: "write", READ: "read"}

#: `closed_by`.
PEER: Final = 1
US: Final = 2

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
