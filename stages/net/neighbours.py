"""The MACs of many addresses on one link, by ARP (RFC 826), gently: a bounded number, at a bounded rate, each asked at
most three times, a second apart (RFC 1122 2.3.2.1)."""

from __future__ import annotations

import errno
import select
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from stages.net import confine, headers
from stages.net import route as routes
from stages.net.link import ARP_TRIES, ARP_WAIT_S, Interface
from stages.net.packetsocket import interface_error, packet_socket
from stages.net.path import OnLink
from stages.net.spans import Spans

#: Addresses asked for at most: a /16, which takes about a minute a round.
MAX_NEIGHBOURS: Final = 1 << 16
#: Requests a second. Every host of the link has to look at each.
ARP_RATE: Final = 1_000
#: Requests sent at once.
_BURST: Final = 20
_FRAME_MAX: Final = 256
#: Answers to a burst and more; the kernel accounts some hundred bytes for each.
_RECEIVE_BUFFER: Final = 1 << 20
_RETRIED: Final = frozenset({errno.ENOBUFS, errno.EAGAIN, errno.ENOMEM})


def resolve_all(
    link: Interface,
    source: int,
    targets: Spans,
    *,
    vlan: int | None = None,
    tries: int = ARP_TRIES,
    wait: float = ARP_WAIT_S,
    clock: Callable[[], float] = time.monotonic,
) -> dict[int, bytes]:
    """MACs of those `targets` (u32) that have one: what the kernel knows, then by ARP.

    Raises OnLink if there are more than MAX_NEIGHBOURS, NoRawAccess, ConfinedError, OSError.
    """
    confine.check_packets(link.name)
    count = targets.addresses
    if count > MAX_NEIGHBOURS:
        raise OnLink(
            errno.EHOSTUNREACH,
            f"{count} targets are on the link of {link.name} itself, and no more than {MAX_NEIGHBOURS} are asked for"
            " their MACs: name the one that takes their frames (--gateway-mac), or use --engine ip",
        )
    wanted = {address for first, last in targets for address in range(first, last + 1)}
    known = {} if vlan is not None else routes.neighbours(link.name)
    found = {address: known[address] for address in wanted & known.keys()}
    own = source.to_bytes(4, "big")
    with packet_socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        sock.bind((link.name, headers.ETHERTYPE_ARP))
        sock.setblocking(False)

        def listen(end: float) -> None:
            """Take answers until then, or until nothing is missing."""
            while len(found) < len(wanted) and (left := end - clock()) > 0:
                if select.select([sock], [], [], left)[0]:
                    _read(sock, wanted, found)

        for _ in range(tries):
            missing = sorted(wanted - found.keys())
            due = clock()
            for start in range(0, len(missing), _BURST):
                for address in missing[start : start + _BURST]:
                    _ask(sock, link, headers.arp_request(link.mac, own, address.to_bytes(4, "big"), vlan))
                due += _BURST / ARP_RATE
                listen(due)
            listen(clock() + wait)
    return found


def _ask(sock: socket.socket, link: Interface, request: bytes) -> None:
    try:
        sock.send(request)
    except OSError as error:
        if error.errno not in _RETRIED:
            raise interface_error(error.errno or 0, link.name) from error
        # Not sent: as good as lost on the wire, so the next round asks again.


def _read(sock: socket.socket, wanted: set[int], found: dict[int, bytes]) -> None:
    with suppress(BlockingIOError):
        while True:
            answer = headers.arp_reply(sock.recv(_FRAME_MAX))
            if answer is not None and (address := int.from_bytes(answer[0], "big")) in wanted:
                found.setdefault(address, answer[1])
