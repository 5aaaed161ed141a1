"""The dry run: the packets that a scan would send, as text in ZMap's form. Nothing is sent, no privilege is needed.

    tcp { source: 46852 | dest: 80 | seq: 696246168 | checksum: 0XDAE2 }
    ip { saddr: 10.0.0.1 | daddr: 10.0.0.2 | checksum: 0X2575 }
    eth { shost: 00:00:00:00:00:00 | dhost: 00:00:00:00:00:00 }
    ------------------------------------------------------

A frame with a VLAN tag (--vlan) has ` | vlan: 7` behind its MAC addresses. With `-v 5` scapy shows every field. The
frames are those of the sender, from the same kernels under the same secret; MAC addresses are zeros unless they were
given: asking for them would need packets. A target that would be dialled by connect(2) is shown as `connect { daddr:
... | dest: ... }`.

--fast-dryrun writes six bytes for each packet, as ZMap does: the target's address (4) and port (2; 0 where the probe
has none), both in network order. `numpy.frombuffer(data, [("ip", ">u4"), ("port", ">u2")])` reads them.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Any, Final

from stages.core.errors import MissingCapability, UsageError
from stages.scanner.prepare import Prepared, Slice
from stages.scanner.quantities import parse_mac, parse_source_ips
from stages.scanner.targets import Ipv6Space

if TYPE_CHECKING:
    from stages.scanner.frames import FrameBuilder

#: ZMap's rule between two packets.
RULE: Final = "-" * 54

#: The verbosity at which scapy shows the frames.
SHOW_ALL: Final = 5

#: Targets whose six bytes are written at once.
FAST_BATCH: Final = 4096

#: Positions filled, and frames shown by one scapy process, at once.
BATCH: Final = 64

_ETHERNET: Final = 14
_TCP: Final = 6
_UDP: Final = 17
_ICMP: Final = 1
_NO_MAC: Final = bytes(6)
#: A tag (IEEE 802.1Q): EtherType, and behind it 12 bits of number; priority and drop eligibility stand above them.
_VLAN: Final = b"\x81\x00"
_VLAN_TAG: Final = 4
_VLAN_ID: Final = 0xFFF
#: discard (RFC 863): connect(2) on a datagram socket chooses a source address and sends nothing.
_ANY_PORT: Final = 9


def describe(frame: bytes) -> str:
    """An Ethernet frame with IPv4 and TCP, UDP or ICMP as ZMap prints it, and its 802.1Q tag where it has one, the rule
    at the end. Raises ValueError for anything else."""
    tag = ""
    if frame[12:14] == _VLAN:
        # Without the tag it is the frame that it would be on an ordinary link.
        tag = f" | vlan: {int.from_bytes(frame[14:16], 'big') & _VLAN_ID}"
        frame = frame[:12] + frame[12 + _VLAN_TAG :]
    if len(frame) < _ETHERNET + 20 or frame[12:14] != b"\x08\x00":
        raise ValueError("not an IPv4 frame")
    start = _ETHERNET + (frame[_ETHERNET] & 15) * 4
    protocol = frame[_ETHERNET + 9]
    upper = frame[start:]
    if protocol == _UDP and len(upper) >= 8:
        source, dest, _, checksum = struct.unpack_from("!4H", upper)
        first = f"udp {{ source: {source} | dest: {dest} | checksum: {_hex(checksum)} }}"
    elif protocol == _TCP and len(upper) >= 20:
        source, dest, seq, *_, checksum = struct.unpack_from("!HHIIHHH", upper)
        first = f"tcp {{ source: {source} | dest: {dest} | seq: {seq} | checksum: {_hex(checksum)} }}"
    elif protocol == _ICMP and len(upper) >= 8:
        kind, code, checksum, ident, seq = struct.unpack_from("!BBHHH", upper)
        first = f"icmp {{ type: {kind} | code: {code} | checksum: {_hex(checksum)} | id: {ident} | seq: {seq} }}"
    else:
        raise ValueError(f"neither TCP, UDP nor ICMP: protocol {protocol}")
    checksum = int.from_bytes(frame[_ETHERNET + 10 : _ETHERNET + 12], "big")
    saddr, daddr = (IPv4Address(frame[at : at + 4]) for at in (_ETHERNET + 12, _ETHERNET + 16))
    return (
        f"{first}\nip {{ saddr: {saddr} | daddr: {daddr} | checksum: {_hex(checksum)} }}\n"
        f"eth {{ shost: {frame[6:12].hex(':')} | dhost: {frame[:6].hex(':')}{tag} }}\n{RULE}\n"
    )


def describe_connect(host: str, port: int) -> str:
    """A connection that would be opened."""
    return f"connect {{ daddr: {host} | dest: {port} }}\n{RULE}\n"


def fast_dry_run(prepared: Prepared, write: Callable[[bytes], object]) -> int:
    """Write address and port of every packet of the scan, in order; returns how many. Raises UsageError,
    MissingCapability."""
    count = 0
    for part in prepared.slices:
        if part.version == 6:
            raise UsageError("--fast-dryrun", None, "its records have room for IPv4 only, and there are IPv6 targets")
        for builder, rows in frames_of(prepared, part, FAST_BATCH):
            write(builder.targets_of(rows))
            count += rows
    return count


def dry_run(prepared: Prepared, write: Callable[[str], object]) -> int:
    """Print every packet of the scan; returns how many. Raises UsageError, MissingCapability."""
    count = 0
    for part in prepared.slices:
        for text, packets in _texts(prepared, part):
            write(text)
            count += packets
    return count


def _texts(prepared: Prepared, part: Slice) -> Iterator[tuple[str, int]]:
    """(text, packets in it) a batch at a time."""
    if part.version == 6 or prepared.settings.engine == "connect":
        yield from _connections(prepared, part)
        return
    for builder, rows in frames_of(prepared, part, BATCH):
        frames = [builder.frame(row) for row in range(rows)]
        if prepared.settings.verbosity >= SHOW_ALL:
            from stages.scanner import templates

            yield templates.show(frames), len(frames)
        else:
            yield "".join(map(describe, frames)), len(frames)


def frames_of(prepared: Prepared, part: Slice, batch: int) -> Iterator[tuple[FrameBuilder, int]]:
    """(the builder with its rows filled, how many) a batch at a time."""
    try:
        from stages.scanner import order as orders
        from stages.scanner.frames import FrameBuilder
        from stages.scanner.mixed import MixedFrames
        from stages.scanner.packets import modules_of
        from stages.scanner.permutation import Permutation

        modules = modules_of(prepared)
    except ImportError as error:
        raise MissingCapability(f"the library {error.name}", "making packets", "try --engine connect") from None
    settings = prepared.settings
    space = prepared.targets.space(prepared.ports)
    permutation = Permutation(space.size, prepared.spec.seed)
    sources = (_own_address(prepared),) if settings.source_ip is None else parse_source_ips(settings.source_ip)
    kind: Callable[..., FrameBuilder] = FrameBuilder
    what: tuple[Any, ...] = (space, permutation, modules[0].probe)
    if len(modules) > 1:
        kind, what = MixedFrames, (modules, space, permutation)
    builder = kind(
        *what,
        prepared.checkpoint.secret,
        source_ips=sources,
        source_ports=settings.source_ports,
        source_mac=_NO_MAC if settings.source_mac is None else parse_mac(settings.source_mac),
        gateway_mac=_NO_MAC if settings.gateway_mac is None else parse_mac(settings.gateway_mac),
        vlan=settings.vlan,
        ttl=settings.probe_ttl,
        probes=settings.probes,
        batch=batch,
        order=orders.build(permutation, space, part.shard, part.shards),
    )
    for first in range(part.first, part.last, batch):
        yield builder, builder.fill(first, min(batch, part.last - first), time.time_ns() // 1_000_000)


def _connections(prepared: Prepared, part: Slice) -> Iterator[tuple[str, int]]:
    from stages.scanner.connect import Ipv4Targets, Ipv6Targets
    from stages.scanner.permutation import Permutation

    v6: Ipv6Space = prepared.targets.v6
    v4 = Ipv4Targets(prepared.targets.space(prepared.ports)) if part.version == 4 else None
    targets = v4 if v4 is not None else Ipv6Targets(v6)
    permutation = Permutation(targets.size, prepared.spec.seed)
    for first in range(part.first, part.last, BATCH):
        positions = range(first, min(first + BATCH, part.last))
        indexes = [permutation.one(part.shard + at * part.shards) for at in positions]
        found = targets.look_up(indexes)
        yield "".join(describe_connect(host, port) for _, host, port in found), len(found)


def _own_address(prepared: Prepared) -> int:
    """The address that the kernel would send from, without sending anything; 0 where it has none."""
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect((str(IPv4Address(prepared.targets.first_v4)), _ANY_PORT))
        return int(IPv4Address(sock.getsockname()[0]))
    return 0


def _hex(value: int) -> str:
    """C's `%#04X`."""
    return f"0X{value:02X}" if value else "0000"
