"""ANSWER: one validated answer to a probe, as a row of a numpy array.

The receive kernel writes rows; nothing else touches a packet. Addresses and ports are host-order integers; `saddr`
and `sport` are those of the packet received, `address` and `port` those of the target probed (they differ where a
router answers with an ICMP error).
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

#: Kinds of answers (`kind`).
SYNACK: Final = 1
RST: Final = 2
ICMP: Final = 3  #: an ICMP error that quotes our probe
ECHOREPLY: Final = 4
UDP: Final = 5  #: a datagram that is what the probe asked for
UDP_OTHER: Final = 6  #: a datagram that answers the probe and is something else
KNOCK: Final = 7  #: a RST where a RST is what the probe asked for
KIND_NAMES: Final = {
    SYNACK: "synack", RST: "rst", ICMP: "icmp", ECHOREPLY: "echoreply", UDP: "udp", UDP_OTHER: "other", KNOCK: "rst",
}  # fmt: skip

#: The kinds that count as a success (ZMap's `success` field).
SUCCESSES: Final = (SYNACK, ECHOREPLY, UDP, KNOCK)

#: By what an answer is bound to its probe (`bound`, a sum of these).
BY_PORT: Final = 1  #: it came to the source port that was used
BY_NUMBER: Final = 2  #: TCP: our sequence or acknowledgement number
BY_ECHO: Final = 4  #: ICMP: identifier and sequence number
BY_IP_ID: Final = 8  #: an ICMP error quotes the IP identification that was used
BY_COOKIE: Final = 16  #: bytes of the payload that nobody else knows
BOUND_NAMES: Final = {
    BY_PORT: "port", BY_NUMBER: "number", BY_ECHO: "echo", BY_IP_ID: "ipid", BY_COOKIE: "cookie",
}  # fmt: skip

ANSWER: Final = np.dtype(
    [
        ("ts", "i8"),  # arrival, microseconds since the epoch, as the kernel stamped it
        ("rtt", "f8"),  # seconds; NaN where the send time is not known (any more)
        ("position", "u8"),  # position in the scan's order
        ("saddr", "u4"),
        ("daddr", "u4"),
        ("seq", "u4"),  # TCP; ICMP echo: sequence number
        ("ack", "u4"),  # TCP; ICMP echo: identifier
        ("ts_val", "u4"),  # TCP timestamps (RFC 7323), where has_ts
        ("ts_ecr", "u4"),
        ("responder", "u4"),  # who sent it: the target, or the router of an ICMP error
        ("address", "u4"),  # the target
        ("sport", "u2"),
        ("dport", "u2"),
        ("port", "u2"),  # the target's
        ("window", "u2"),
        ("ipid", "u2"),
        ("mss", "u2"),  # 0: no such option
        ("wscale", "i1"),  # shift count; -1: no such option
        ("sack", "u1"),  # SACK permitted
        ("has_ts", "u1"),
        ("ttl", "u1"),
        ("kind", "u1"),
        ("icmp_type", "u1"),
        ("icmp_code", "u1"),
        ("attempt", "u1"),  # which of the -P probes it answers, where its port tells; else 0
        ("repeat", "u1"),  # this target has answered in this way before (success or failure)
        ("cooldown", "u1"),  # came after sending had ended
        ("bound", "u1"),  # by what it is bound to its probe (BY_...)
        ("bits", "u1"),  # of these, unknown to who did not see the probe
        ("size", "u2"),  # UDP: bytes of payload in the datagram
        ("data_size", "u2"),  # bytes of it that were captured
        ("data_at", "u4"),  # where they stand: in the block, then in the payload of `Answers`
    ],
    align=True,
)

AnswerArray: TypeAlias = npt.NDArray[np.void]


class Answers(np.ndarray[Any, np.dtype[np.void]]):
    """An ANSWER array with the bytes that its rows point to (`data_at`, `data_size`). What is cut from it has them too.

    An array of ANSWER that is none of these has no bytes. `chosen`: which rows are results (`stages.scanner.chosen`);
    None: all. It is this array's alone: what is cut from it has none.
    """

    payload: bytes
    chosen: npt.NDArray[np.bool_] | None

    def __array_finalize__(self, other: Any) -> None:
        self.payload = getattr(other, "payload", b"")
        self.chosen = None


def with_payload(rows: AnswerArray, payload: bytes) -> Answers:
    """The rows and their bytes, not copied."""
    answers = rows.view(Answers)
    answers.payload = payload
    return answers
