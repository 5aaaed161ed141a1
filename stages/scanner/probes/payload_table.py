"""Payloads by port out of files that other programs have: Nmap's nmap-payloads, and captures. Pure.

    udp 53,5353  "\\x00\\x00\\x10\\x00..."     ports, then strings with escapes as in C, on as many lines as it takes
                 "..." source 500         where to send from is not ours to choose: answers are bound to the source port

A capture (pcap, the classic format: draft-ietf-opsawg-pcap) gives what is in its UDP packets, by destination port. Of
several payloads for a port the first counts.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import Final

from stages.scanner.ports import parse_ports

#: Magics of a capture with microseconds and with nanoseconds, as they stand there in either byte order.
_ORDERS: Final = {
    bytes.fromhex("d4c3b2a1"): "<",
    bytes.fromhex("4d3cb2a1"): "<",
    bytes.fromhex("a1b2c3d4"): ">",
    bytes.fromhex("a1b23c4d"): ">",
}
_PCAPNG: Final = bytes.fromhex("0a0d0d0a")
_FILE_HEADER: Final = 24
_RECORD_HEADER: Final = 16
_ETHERNET, _RAW = 1, 101
_VLANS: Final = (0x8100, 0x88A8)
_IPV4, _IPV6, _UDP = 0x0800, 0x86DD, 17

_TOKEN: Final = re.compile(rb'(?P<space>\s+|#[^\n]*)|"(?P<string>(?:[^"\\\n]|\\[^\n])*)"|(?P<word>[^\s"#]+)')
_ESCAPE: Final = re.compile(rb"\\(?:x([0-9A-Fa-f]{2})|([0-7]{1,3})|(.))", re.DOTALL)
_LETTERS: Final = {
    b"n": b"\n", b"r": b"\r", b"t": b"\t", b"a": b"\a", b"b": b"\b", b"f": b"\f", b"v": b"\v", b'"': b'"',
    b"\\": b"\\", b"'": b"'", b"?": b"?",
}  # fmt: skip


def read(data: bytes) -> dict[int, bytes]:
    """Port -> payload. Raises ValueError that names the line, or the byte of a capture."""
    if data[:4] == _PCAPNG:
        raise ValueError("a pcapng file: only the classic pcap is read (editcap -F pcap makes one)")
    order = _ORDERS.get(data[:4])
    return _first_of(_captured(data, order) if order is not None else _listed(data))


def _first_of(found: Iterator[tuple[int, bytes]]) -> dict[int, bytes]:
    table: dict[int, bytes] = {}
    for port, payload in found:
        table.setdefault(port, payload)
    if not table:
        raise ValueError("no payload in it")
    return table


# -- nmap-payloads ----------------------------------------------------------------------------------------------------


def _listed(data: bytes) -> Iterator[tuple[int, bytes]]:
    tokens = _tokens(data)
    line, kind, value = next(tokens)
    while kind != "end":
        if kind != "word" or value != b"udp":
            raise ValueError(f"line {line}: {_shown(value)} where `udp` is to stand")
        line, kind, value = next(tokens)
        try:
            ports = parse_ports(value.decode("ascii") if kind == "word" else "")
        except ValueError as error:
            raise ValueError(f"line {line}: ports: {error}") from None
        payload, begun = b"", line
        line, kind, value = next(tokens)
        if kind != "string":
            raise ValueError(f"line {begun}: no payload behind the ports")
        while kind == "string":
            payload += _unescaped(value, line)
            line, kind, value = next(tokens)
        if value == b"source":
            line, kind, value = next(tokens)
            if not value.isdigit():
                raise ValueError(f"line {line}: {_shown(value)} where a source port is to stand")
            line, kind, value = next(tokens)
        for port in ports:
            yield port, payload


def _tokens(data: bytes) -> Iterator[tuple[int, str, bytes]]:
    """(line, string | word | end, value)."""
    at, line = 0, 1
    while at < len(data):
        found = _TOKEN.match(data, at)
        if found is None:
            raise ValueError(f"line {line}: a string without its end")
        kind = found.lastgroup or "space"
        if kind != "space":
            yield line, kind, found[kind]
        line += data.count(b"\n", at, found.end())
        at = found.end()
    yield line, "end", b""


def _unescaped(text: bytes, line: int) -> bytes:
    def one(found: re.Match[bytes]) -> bytes:
        pair, octal, letter = found.groups()
        if pair is not None:
            return bytes.fromhex(pair.decode())
        if octal is not None:
            return bytes((int(octal, 8) & 255,))
        if letter not in _LETTERS:
            raise ValueError(f"line {line}: no escape \\{letter.decode('latin-1')}")
        return _LETTERS[letter]

    return _ESCAPE.sub(one, text)


def _shown(value: bytes) -> str:
    return repr(value[:40].decode("latin-1")) if value else "the end of the file"


# -- captures ---------------------------------------------------------------------------------------------------------


def _captured(data: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    if len(data) < _FILE_HEADER:
        raise ValueError("a capture that ends in its header")
    (link,) = struct.unpack_from(f"{order}I", data, 20)
    link &= 0xFFFF  # above it: what the frame check sequence is
    if link not in (_ETHERNET, _RAW):
        raise ValueError(f"a capture of link type {link}: {_ETHERNET} (Ethernet) and {_RAW} (IP) are read")
    at = _FILE_HEADER
    while at < len(data):
        start = at + _RECORD_HEADER
        if start > len(data):
            raise ValueError(f"byte {at}: the capture ends in the header of a packet")
        (size,) = struct.unpack_from(f"{order}I", data, at + 8)
        at = start + size
        if at > len(data):
            raise ValueError(f"byte {start}: the capture ends inside a packet")
        yield from _datagram(data[start:at], link)


def _datagram(packet: bytes, link: int) -> Iterator[tuple[int, bytes]]:
    """(port, payload) of a packet that is UDP, whole, and says something."""
    if link == _ETHERNET:
        at = 12
        while packet[at : at + 2] and int.from_bytes(packet[at : at + 2], "big") in _VLANS:
            at += 4
        if int.from_bytes(packet[at : at + 2], "big") not in (_IPV4, _IPV6):
            return
        packet = packet[at + 2 :]
    version = packet[0] >> 4 if packet else 0
    if version == 4 and len(packet) >= 20:
        if packet[9] != _UDP or int.from_bytes(packet[6:8], "big") & 0x3FFF:  # a fragment
            return
        packet = packet[4 * (packet[0] & 15) : int.from_bytes(packet[2:4], "big")]
    elif version == 6 and len(packet) >= 40 and packet[6] == _UDP:
        packet = packet[40 : 40 + int.from_bytes(packet[4:6], "big")]
    else:
        return
    size = int.from_bytes(packet[4:6], "big") if len(packet) >= 8 else 0
    if 8 < size <= len(packet):
        yield int.from_bytes(packet[2:4], "big"), packet[8:size]
