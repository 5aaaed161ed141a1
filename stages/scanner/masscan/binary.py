"""masscan's binary files (`-oB`, `--readscan`), written and read. Pure.

    file      header, records, header; each header is 99 bytes: "masscan/1.1\\ns:1390380064\\n" and zeros, the last one
              without the time
    record    type (1 byte), length of the body (7 bits a byte, the highest bit: more follow), body
    6, 7      open, closed      time 4, IPv4 4, protocol 1, port 2, TCP flags 1, TTL 1
    8         ARP reply         the same, then perhaps a MAC
    9         banner            time 4, IPv4 4, protocol 1, port 2, service 2, TTL 1, bytes
    10-12     the same of IPv6  time 4, protocol 1, port 2, TCP flags 1, TTL 1, version 1, IPv6 16
    13        its banner        time 4, protocol 1, port 2, service 2, TTL 1, version 1, IPv6 16, bytes
    1, 2      of old versions   time 4, IPv4 4, port 2, TCP flags 1, TTL 1
    3; 4, 5   their banners     time 4, IPv4 4, (protocol 1,) port 2, service 2, bytes

All numbers are big-endian. Held against masscan 1.3.2 itself by a test.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from stages.scanner.masscan.items import Banner, Item, State, Status, protocol_name, protocol_number
from stages.scanner.masscan.services import service_name, service_number
from stages.scanner.masscan.writing import About, Data

MAGIC: Final = b"masscan/1."
HEADER_BYTES: Final = 99

#: A body is shorter than this in what masscan writes (its buffer for a banner).
MAX_BODY: Final = 1 << 20

_STATES: Final[dict[State, int]] = {"open": 6, "closed": 7, "arp": 8}
_BY_TYPE: Final[dict[int, State]] = {6: "open", 7: "closed", 8: "arp", 10: "open", 11: "closed", 12: "arp"}
_IPV6: Final = 4  # what is added to a type for IPv6
_BANNER: Final = 9
_MARK: Final = MAGIC[0]

_STATUS4: Final = struct.Struct(">IIBHBB")
_STATUS6: Final = struct.Struct(">IBHBBB16s")
_BANNER4: Final = struct.Struct(">IIBHHB")
_BANNER6: Final = struct.Struct(">IBHHBB16s")
_OLD: Final = struct.Struct(">IIHBB")
_BANNER3: Final = struct.Struct(">IIHH")
_BANNER5: Final = struct.Struct(">IIBHH")


class BadRecord(ValueError):
    """Not a binary file of masscan's, or a record that it does not have; says at which byte."""


class BinaryWriter:
    """masscan's own file."""

    closed = False

    def __init__(self, about: About) -> None:
        self._about = about

    def begin(self) -> bytes:
        return _header(b"\ns:%d\n" % self._about.started)

    def items(self, items: Sequence[Item]) -> bytes:
        return b"".join([_record(item) for item in items])

    def end(self, now: int) -> bytes:
        del now
        return _header(b"")

    def keep(self, data: Data) -> int:
        size = len(data)
        if data[max(size - HEADER_BYTES, 0) : size] == _header(b"") and size > HEADER_BYTES:
            return size - HEADER_BYTES
        whole = max((behind for behind, _ in records(data[0:size])), default=0)
        return whole or (HEADER_BYTES if size >= HEADER_BYTES else 0)


def _header(more: bytes) -> bytes:
    return (MAGIC + b"1" + more).ljust(HEADER_BYTES, b"\0")


def _record(item: Item) -> bytes:
    address = ip_address(item.ip)
    six = 0 if isinstance(address, IPv4Address) else _IPV6
    ts, proto = item.ts & 0xFFFFFFFF, protocol_number(item.proto)
    if isinstance(item, Banner):
        service = service_number(item.service)
        if isinstance(address, IPv4Address):
            body = _BANNER4.pack(ts, int(address), proto, item.port, service, item.ttl)
        else:
            body = _BANNER6.pack(ts, proto, item.port, service, item.ttl, 6, address.packed)
        return bytes([_BANNER + six]) + _length(len(body) + len(item.data)) + body + item.data
    if isinstance(address, IPv4Address):
        body = _STATUS4.pack(ts, int(address), proto, item.port, item.reason, item.ttl)
    else:
        body = _STATUS6.pack(ts, proto, item.port, item.reason, item.ttl, 6, address.packed)
    return bytes([_STATES[item.state] + six]) + _length(len(body)) + body


def _length(size: int) -> bytes:
    out = bytes([size & 0x7F])
    while size := size >> 7:
        out = bytes([size & 0x7F | 0x80]) + out
    return out


def records(data: bytes) -> Iterator[tuple[int, Item]]:
    """(the byte behind the record, its item), up to the last whole record. Raises BadRecord."""
    if data[: len(MAGIC)] != MAGIC[: len(data)]:
        raise BadRecord("not a binary file of masscan's: it does not begin with its name")
    at = HEADER_BYTES
    while at < len(data):
        kind, begin = data[at], at
        if kind == _MARK and data[at : at + len(MAGIC)] == MAGIC[: len(data) - at]:
            at += HEADER_BYTES
            continue
        at += 1
        size = 0
        while at < len(data):
            byte = data[at]
            size, at = size << 7 | byte & 0x7F, at + 1
            if not byte & 0x80:
                break
            if size >= MAX_BODY:
                break
        else:
            return
        if size >= MAX_BODY:
            raise BadRecord(f"byte {begin}: a record of {size} bytes or more")
        if at + size > len(data):
            return
        body = data[at : at + size]
        at += size
        try:
            yield at, _parse(kind, body)
        except struct.error:
            raise BadRecord(f"byte {begin}: a record of type {kind} with {size} bytes") from None
        except ValueError as error:
            raise BadRecord(f"byte {begin}: {error}") from None


def read_binary(data: bytes) -> Iterator[Item]:
    """The items of a file, up to the last whole record. Raises BadRecord."""
    for _, item in records(data):
        yield item


def _parse(kind: int, body: bytes) -> Item:
    if kind in _BY_TYPE:
        state = _BY_TYPE[kind]
        if kind < _BANNER:
            ts, ip, proto, port, flags, ttl = _STATUS4.unpack_from(body)
            return Status(ts, str(IPv4Address(ip)), protocol_name(proto), port, state, flags, ttl)
        ts, proto, port, flags, ttl, version, packed = _STATUS6.unpack_from(body)
        return Status(ts, _six(version, packed), protocol_name(proto), port, state, flags, ttl)
    if kind == _BANNER:
        ts, ip, proto, port, service, ttl = _BANNER4.unpack_from(body)
        where = str(IPv4Address(ip))
        return Banner(ts, where, protocol_name(proto), port, service_name(service), body[_BANNER4.size :], ttl)
    if kind == _BANNER + _IPV6:
        ts, proto, port, service, ttl, version, packed = _BANNER6.unpack_from(body)
        where = _six(version, packed)
        return Banner(ts, where, protocol_name(proto), port, service_name(service), body[_BANNER6.size :], ttl)
    if kind in (1, 2):
        ts, ip, port, flags, ttl = _OLD.unpack_from(body)
        return Status(ts, str(IPv4Address(ip)), "tcp", port, "open" if kind == 1 else "closed", flags, ttl)
    if kind == 3:
        ts, ip, port, service = _BANNER3.unpack_from(body)
        return Banner(ts, str(IPv4Address(ip)), "tcp", port, service_name(service), body[_BANNER3.size :])
    if kind in (4, 5):
        ts, ip, proto, port, service = _BANNER5.unpack_from(body)
        where = str(IPv4Address(ip))
        return Banner(ts, where, protocol_name(proto), port, service_name(service), body[_BANNER5.size :])
    raise ValueError(f"a record of type {kind}, which masscan's files do not have")


def _six(version: int, packed: bytes) -> str:
    if version != 6:
        raise ValueError(f"an address of version {version} where IPv6 stands")
    return str(IPv6Address(packed))
