"""Wire formats that a scanner meets: Ethernet (IEEE 802.3), ARP (RFC 826), IPv4 (RFC 791), TCP (RFC 9293), UDP
(RFC 768) and ICMP (RFC 792).

Constants, loads for kernels, and the two frames which are handled as plain bytes (ARP request and reply).
"""

from __future__ import annotations

import struct
from typing import Any, Final, TypeAlias

import numpy as np

from stages.net.jit import piece

Word: TypeAlias = Any  # a u64 inside a kernel

ETHERNET_BYTES: Final = 14
MAC_BYTES: Final = 6
BROADCAST: Final = b"\xff" * MAC_BYTES
NO_MAC: Final = b"\0" * MAC_BYTES

ETHERTYPE_IPV4: Final = 0x0800
ETHERTYPE_ARP: Final = 0x0806
ETHERTYPE_VLAN: Final = 0x8100  # IEEE 802.1Q
ETHERTYPE_QINQ: Final = 0x88A8  # IEEE 802.1ad
VLAN_TAG_BYTES: Final = 4

IPV4_BYTES: Final = 20
TCP_BYTES: Final = 20
ICMP_BYTES: Final = 8
UDP_BYTES: Final = 8
PROTOCOL_ICMP: Final = 1
PROTOCOL_TCP: Final = 6
PROTOCOL_UDP: Final = 17
FRAGMENT_OFFSET: Final = 0x1FFF
MORE_FRAGMENTS: Final = 0x2000

TCP_FIN: Final = 0x01
TCP_SYN: Final = 0x02
TCP_RST: Final = 0x04
TCP_ACK: Final = 0x10

OPTION_END: Final = 0
OPTION_NOP: Final = 1
OPTION_MSS: Final = 2
OPTION_WSCALE: Final = 3
OPTION_SACK_PERMITTED: Final = 4
OPTION_TIMESTAMPS: Final = 8

ICMP_ECHO_REPLY: Final = 0
ICMP_UNREACHABLE: Final = 3
ICMP_SOURCE_QUENCH: Final = 4
ICMP_REDIRECT: Final = 5
ICMP_ECHO: Final = 8
ICMP_TIME_EXCEEDED: Final = 11
ICMP_PARAMETER_PROBLEM: Final = 12
#: ICMP messages that quote the packet they are about.
ICMP_ERRORS: Final = (
    ICMP_UNREACHABLE,
    ICMP_SOURCE_QUENCH,
    ICMP_REDIRECT,
    ICMP_TIME_EXCEEDED,
    ICMP_PARAMETER_PROBLEM,
)
#: What an ICMP error must quote behind the IP header (RFC 792; RFC 1812 4.3.2.3 allows more).
QUOTE_BYTES: Final = 8

_ARP: Final = struct.Struct("!6s6sHHHBBH6s4s6s4s")
_ARP_ETHERNET: Final = 1
_ARP_REQUEST: Final = 1
_ARP_REPLY: Final = 2
_ETHERNET_MIN: Final = 60  # without the FCS

_ONE = np.uint64(1)
_S8 = np.uint64(8)
_S16 = np.uint64(16)


def arp_request(source_mac: bytes, source_ip: bytes, target_ip: bytes, vlan: int | None = None) -> bytes:
    """A whole Ethernet frame, with an 802.1Q tag if `vlan` is one, that asks who has `target_ip` (4 bytes)."""
    frame = _ARP.pack(
        BROADCAST, source_mac, ETHERTYPE_ARP,
        _ARP_ETHERNET, ETHERTYPE_IPV4, MAC_BYTES, 4, _ARP_REQUEST,
        source_mac, source_ip, NO_MAC, target_ip,
    )  # fmt: skip
    if vlan is not None:
        frame = frame[:12] + struct.pack("!HH", ETHERTYPE_VLAN, vlan) + frame[12:]
    return frame.ljust(_ETHERNET_MIN, b"\0")


def arp_reply(frame: bytes) -> tuple[bytes, bytes] | None:
    """(address, MAC) of the sender of an ARP reply; None if `frame` is anything else."""
    if len(frame) < _ARP.size:
        return None
    _, _, ethertype, hardware, protocol, hlen, plen, operation, mac, ip, _, _ = _ARP.unpack_from(frame)
    if (ethertype, hardware, protocol, hlen, plen) != (ETHERTYPE_ARP, _ARP_ETHERNET, ETHERTYPE_IPV4, MAC_BYTES, 4):
        return None
    return (ip, mac) if operation == _ARP_REPLY else None


def vlan_header(target_mac: bytes, source_mac: bytes, vlan: int) -> bytes:
    """An Ethernet header with an 802.1Q tag, IPv4 behind it. Priority 0, not eligible to be dropped."""
    return target_mac + source_mac + struct.pack("!HHH", ETHERTYPE_VLAN, vlan, ETHERTYPE_IPV4)


@piece
def load16(data: Any, offset: Any) -> Word:
    """Big-endian u16 at `offset` of a u8 array."""
    at = np.uint64(offset)  # unsigned: no index counts from the end
    return (np.uint64(data[at]) << _S8) | np.uint64(data[at + _ONE])


@piece
def load32(data: Any, offset: Any) -> Word:
    """Big-endian u32 at `offset` of a u8 array."""
    return (load16(data, offset) << _S16) | load16(data, offset + 2)
