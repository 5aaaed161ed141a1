"""Interfaces and neighbours: what an interface is and whether it can carry frames, and ARP (RFC 826).

Interfaces are asked by ioctl (netdevice(7)), which answers for the network namespace of the calling thread; sysfs may
show another one's.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import select
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from stages.net import confine, headers
from stages.net.packetsocket import interface_error, packet_socket

_SIOCGIFFLAGS: Final = 0x8913
_SIOCGIFADDR: Final = 0x8915
_SIOCGIFMTU: Final = 0x8921
_SIOCGIFHWADDR: Final = 0x8927
_SIOCETHTOOL: Final = 0x8946
_IFF_UP: Final = 0x1
_IFF_LOOPBACK: Final = 0x8
_IFF_RUNNING: Final = 0x40
_IFF_NOARP: Final = 0x80
_NAME_MAX: Final = 15  # IFNAMSIZ - 1
_REQUEST: Final = struct.Struct("16s24s")  # struct ifreq

_ETHTOOL_GCHANNELS: Final = 0x3C
#: struct ethtool_channels: command, then the most and the number of receive, transmit, other and combined queues.
_CHANNELS: Final = struct.Struct("=9I")

_ARPHRD_ETHER: Final = 1
_ARPHRD_LOOPBACK: Final = 772

#: ARP requests until we give up, and seconds to wait after each (RFC 1122 2.3.2.1: at most one a second).
ARP_TRIES: Final = 3
ARP_WAIT_S: Final = 1.0
_ARP_FRAME_MAX: Final = 256


class InterfaceError(OSError):
    """An interface cannot carry the scan: none such, down, no carrier, or without what the engine needs."""


class NoNeighbour(OSError):
    """Nobody answered ARP for an address."""


@dataclass(frozen=True, slots=True)
class Interface:
    """One interface as it was when asked."""

    name: str
    index: int
    mac: bytes
    mtu: int
    address: int | None  #: its first IPv4 address, u32
    up: bool
    running: bool  #: has a carrier
    loopback: bool
    arp: bool  #: neighbours are found by ARP
    ethernet: bool  #: frames begin with an Ethernet header


def interface(name: str) -> Interface:
    """Raises InterfaceError if there is no such interface."""
    if len(name.encode()) > _NAME_MAX or not name:
        raise InterfaceError(errno.ENODEV, f"no interface {name!r}")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:

        def ask(request: int) -> bytes:
            packed = _REQUEST.pack(name.encode(), b"")
            return fcntl.ioctl(sock.fileno(), request, packed)[16:]

        try:
            flags = struct.unpack_from("=H", ask(_SIOCGIFFLAGS))[0]
            kind, mac = struct.unpack_from("=H6s", ask(_SIOCGIFHWADDR))
            mtu = struct.unpack_from("=i", ask(_SIOCGIFMTU))[0]
            index = socket.if_nametoindex(name)
        except OSError as error:
            raise InterfaceError(error.errno, f"no interface {name!r}") from error
        try:
            address = struct.unpack_from("!4xI", ask(_SIOCGIFADDR))[0]
        except OSError:  # EADDRNOTAVAIL: it has none
            address = None
    return Interface(
        name=name,
        index=index,
        mac=mac,
        mtu=mtu,
        address=address,
        up=bool(flags & _IFF_UP),
        running=bool(flags & _IFF_RUNNING),
        loopback=bool(flags & _IFF_LOOPBACK),
        arp=not flags & _IFF_NOARP,
        ethernet=kind in (_ARPHRD_ETHER, _ARPHRD_LOOPBACK),
    )


def check_usable(link: Interface) -> None:
    """Raise InterfaceError unless packets can be sent from the interface now."""
    if not link.up:
        raise InterfaceError(errno.ENETDOWN, f"interface {link.name} is down")
    if not link.running:
        raise InterfaceError(errno.ENETDOWN, f"interface {link.name} has no carrier")


def queues(name: str) -> int:
    """Transmit queues of an interface (ethtool's channels); 1 where the driver does not tell."""
    channels = ctypes.create_string_buffer(_CHANNELS.pack(_ETHTOOL_GCHANNELS, *[0] * 8))
    request = struct.pack("16sP", name.encode(), ctypes.addressof(channels)).ljust(_REQUEST.size, b"\0")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            fcntl.ioctl(sock.fileno(), _SIOCETHTOOL, request)
        except OSError:
            return 1
    _, _, _, _, _, _, transmit, _, combined = _CHANNELS.unpack(channels.raw[: _CHANNELS.size])
    return max(int(transmit + combined), 1)


def resolve(
    link: Interface,
    source: int,
    target: int,
    *,
    tries: int = ARP_TRIES,
    wait: float = ARP_WAIT_S,
    clock: Callable[[], float] = time.monotonic,
) -> bytes:
    """The MAC of `target` (u32), an address on the link, by ARP.

    Raises NoNeighbour, NoRawAccess, ConfinedError, OSError.
    """
    confine.check_packets(link.name)
    asked = target.to_bytes(4, "big")
    request = headers.arp_request(link.mac, source.to_bytes(4, "big"), asked)
    with packet_socket() as sock:
        sock.bind((link.name, headers.ETHERTYPE_ARP))
        sock.setblocking(False)
        for _ in range(tries):
            try:
                sock.send(request)
            except OSError as error:
                raise interface_error(error.errno or 0, link.name) from error
            end = clock() + wait
            while (left := end - clock()) > 0:
                if not select.select([sock], [], [], left)[0]:
                    break
                answer = headers.arp_reply(sock.recv(_ARP_FRAME_MAX))
                if answer is not None and answer[0] == asked:
                    return answer[1]
    name = socket.inet_ntoa(asked)
    raise NoNeighbour(errno.EHOSTUNREACH, f"{name} does not answer ARP on {link.name}")
