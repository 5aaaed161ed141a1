"""Answers as masscan would report them. Pure.

Our answers do not keep the byte of TCP flags: a SYN-ACK has SYN and ACK, a RST that answers a SYN has RST and ACK
(RFC 9293 3.10.7.1).
"""

from __future__ import annotations

from typing import Final

from stages.scanner.answers import ICMP, RST, SUCCESSES, SYNACK
from stages.scanner.masscan.items import RST_ACK, SYN_ACK, State, Status
from stages.scanner.rows import Answer, address_text, transport_of

#: ICMP Destination Unreachable, and its code Port Unreachable (RFC 792): a UDP port that is closed.
_UNREACHABLE: Final = (3, 3)


def status_of(answer: Answer) -> Status | None:
    """An answer as masscan would report it. None: of what it says nothing (ICMP errors but for a closed UDP port)."""
    proto = transport_of(answer)
    if answer.kind in SUCCESSES:
        state: State = "open"
        reason = SYN_ACK if answer.kind == SYNACK else RST_ACK if proto == "tcp" else 0
    elif answer.kind == RST:
        state, reason = "closed", RST_ACK
    elif answer.kind == ICMP and proto == "udp" and (answer.icmp_type, answer.icmp_code) == _UNREACHABLE:
        state, reason = "closed", 0
    else:
        return None
    return Status(
        answer.ts // 1_000_000, address_text(answer.address), proto, answer.port, state, reason, answer.ttl or 0
    )
