"""How long to wait for a connection to be established, from the round-trip time that the scan saw. Pure.

The host answered a SYN a moment ago, so it is there; what has to be survived is one lost segment. The kernel repeats
a SYN after 1 s, then 2 s (RFC 6298 2.1, tcp_syn_retries of tcp(7)): after one loss the answer comes at 1 s + RTT. The
RTT of a connection is taken as several times that of the probe, since queues change and some hosts are slow to accept.
"""

from __future__ import annotations

from typing import Final

#: Seconds until the kernel repeats a SYN (TCP_TIMEOUT_INIT, RFC 6298 2.1).
SYN_REPEAT: Final = 1.0

#: How many times the probe's RTT an answer may take.
RTT_FACTOR: Final = 4.0


def connect_timeout(rtt: float | None, lowest: float, highest: float) -> float:
    """Seconds. `rtt` of the hit in seconds; None (no probe, no time): `highest`. `highest` wins over `lowest`."""
    if rtt is None or rtt < 0:
        return highest
    wanted = SYN_REPEAT + RTT_FACTOR * rtt
    return min(highest, max(lowest, wanted))
