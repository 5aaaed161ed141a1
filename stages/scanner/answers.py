"""ANSWER: one validated answer to a probe, as a row of a numpy array.

The receive kernel writes rows; nothing else touches a packet. Addresses and ports are host-order integers; `saddr`
and `sport` are those of the packet received, `address` and `port` those of the target probed (they differ where a
router answers with an ICMP error).
"""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

#: Kinds of answers (`kind`).
SYNACK: Final = 1
RST: Final = 2
ICMP: Final = 3  #: an ICMP error that quotes our probe
ECHOREPLY: Final = 4
KIND_NAMES: Final = {SYNACK: "synack", RST: "rst", ICMP: "icmp", ECHOREPLY: "echoreply"}

#: The kinds that count as a success (ZMap's `success` field).
SUCCESSES: Final = (SYNACK, ECHOREPLY)

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
    ],
    align=True,
)

AnswerArray: TypeAlias = npt.NDArray[np.void]
