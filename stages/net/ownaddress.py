"""The address that this host sends from, where the kernel chooses it."""

from __future__ import annotations

import socket

#: Discard (RFC 863): any port does, as nothing is sent there.
_PORT = 9


def toward(ip: str) -> str | None:
    """The source address of what goes to `ip`; None without a way. Nothing is sent: connect(2) of a datagram socket
    only asks the routing table (udp(7))."""
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as asking:
            asking.connect((ip, _PORT))
            return str(asking.getsockname()[0])
    except OSError:
        return None
