"""What masscan's files hold: the status of a port, or a banner. Pure.

`reason` is the byte of TCP flags that answered, and its name as masscan writes it (`syn-ack`, `rst-ack`, `none`).
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, TypeAlias

#: Protocol numbers (IANA) of the names that masscan writes. ARP has none there.
PROTOCOLS: Final = {"icmp": 1, "tcp": 6, "udp": 17, "sctp": 132, "arp": 0}
PROTOCOL_NAMES: Final = {number: name for name, number in PROTOCOLS.items()}

#: TCP flags from the lowest bit up (RFC 9293 section 3.1, RFC 3168).
FLAGS: Final = ("fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr")
SYN_ACK: Final = 0x12
RST_ACK: Final = 0x14

State = Literal["open", "closed", "arp"]


class Status(NamedTuple):
    """One port of one address."""

    ts: int  #: seconds since the epoch
    ip: str
    proto: str
    port: int
    state: State
    reason: int = 0  #: TCP flags
    ttl: int = 0


class Banner(NamedTuple):
    """What a port said."""

    ts: int
    ip: str
    proto: str
    port: int
    service: str
    data: bytes
    ttl: int = 0


Item: TypeAlias = Status | Banner


def reason_text(flags: int) -> str:
    """`syn-ack` of 0x12; `none` of 0."""
    return "-".join(name for bit, name in enumerate(FLAGS) if flags >> bit & 1) or "none"


def reason_of(text: str) -> int:
    """The inverse of `reason_text`; 0 for other words."""
    names = text.split("-")
    return sum(1 << FLAGS.index(name) for name in names) if all(name in FLAGS for name in names) else 0


def usual_reason(proto: str, state: str) -> int:
    """The flags that such a port answers with, where a format does not tell."""
    if proto != "tcp":
        return 0
    return SYN_ACK if state == "open" else RST_ACK


def protocol_name(number: int) -> str:
    return PROTOCOL_NAMES.get(number, str(number))


def protocol_number(name: str) -> int:
    """Raises ValueError for a name that is none."""
    if name in PROTOCOLS:
        return PROTOCOLS[name]
    if name.isascii() and name.isdigit() and int(name) < 256:
        return int(name)
    raise ValueError(f"no protocol {name!r}")
