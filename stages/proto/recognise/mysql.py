"""MySQL and MariaDB: the first packet, a handshake of protocol 10 or an error (MySQL Internals Manual). Pure."""

from __future__ import annotations

from typing import Final

from stages.proto.recognise.verdict import LOOK, Verdict, printable

_HEADER: Final = 4
_PROTOCOL_10: Final = 10
_ERROR: Final = 0xFF
#: Bytes of the server's version with its NUL.
_VERSION: Final = 128
#: Behind the version: thread, scramble, filler, capabilities.
_REST: Final = 16
#: Numbers of errors that end a connection before it begins: of the server 1000 and more, of MariaDB up to 4999.
_ERRNOS: Final = range(1000, 5000)


def recognise(data: bytes) -> Verdict:
    if len(data) > 2 and (data[2] or int.from_bytes(data[:3], "little") > LOOK - _HEADER):
        return Verdict.NO
    if len(data) > 3 and data[3]:
        return Verdict.NO
    if len(data) <= _HEADER:
        return Verdict.MORE
    size = int.from_bytes(data[:3], "little")
    body = data[_HEADER : _HEADER + size]
    if not body:
        return Verdict.NO
    if body[0] == _PROTOCOL_10:
        return _handshake(body, size)
    return _error(body, size) if body[0] == _ERROR else Verdict.NO


def _handshake(body: bytes, size: int) -> Verdict:
    end = body.find(b"\0", 1, 1 + _VERSION)
    version = body[1 : end if end >= 0 else 1 + _VERSION]
    if not printable(version) or (not version[:1].isdigit() and version[:1]):
        return Verdict.NO
    if end < 0:
        return Verdict.MORE if len(body) < min(size, 1 + _VERSION) else Verdict.NO
    return Verdict.YES if version and size >= end + _REST else Verdict.NO


def _error(body: bytes, size: int) -> Verdict:
    if size < 4 or (len(body) >= 3 and int.from_bytes(body[1:3], "little") not in _ERRNOS):
        return Verdict.NO
    if not printable(body[3:]):
        return Verdict.NO
    return Verdict.YES if len(body) == size else Verdict.MORE
