"""PostgreSQL ("Message Formats" in its documentation): an error or a notice, or a request to authenticate. Pure.

The one byte that answers an SSLRequest says nothing by itself: `answer` reads it, where one was sent.
"""

from __future__ import annotations

from typing import Final

from stages.proto.recognise.verdict import LOOK, Verdict, either, shape, starts

#: ErrorResponse and NoticeResponse: fields of a letter and a string, severity first, then V (since 9.6) or C.
_FIRST: Final = ord("S")
_SECOND: Final = (b"V", b"C")
#: Bytes of a severity, in any language.
_SEVERITY: Final = 32

#: Authentication*: 8 bytes for most, 12 for MD5; SASL names its mechanisms.
_authentication: Final = shape("R\0\0??\0\0\0?")
#: The errors of protocol 2, with which also new servers answer what they cannot read.
_old: Final = starts(b"EFATAL:", b"EERROR:", b"Eunsupported frontend protocol", b"Einvalid length of startup packet")
_MECHANISMS: Final = frozenset(range(13))


def recognise(data: bytes) -> Verdict:
    return _any(data[:LOOK])


def _auth(data: bytes) -> Verdict:
    if len(data) > 4 and not 8 <= int.from_bytes(data[1:5], "big") <= LOOK:
        return Verdict.NO
    if len(data) > 8 and data[8] not in _MECHANISMS:
        return Verdict.NO
    return _authentication(data)


def _report(data: bytes) -> Verdict:
    if data[:1] not in (b"", b"E", b"N") or data[1:3] not in (b"", b"\0", b"\0\0"):
        return Verdict.NO
    if len(data) > 4 and not 8 <= int.from_bytes(data[1:5], "big") < LOOK:
        return Verdict.NO
    if len(data) > 5 and data[5] != _FIRST:
        return Verdict.NO
    end = data.find(b"\0", 6, 6 + _SEVERITY)
    if end < 0:
        return Verdict.MORE if len(data) < 6 + _SEVERITY else Verdict.NO
    if end == 6:
        return Verdict.NO
    second = data[end + 1 : end + 2]
    if not second:
        return Verdict.MORE
    return Verdict.YES if second in _SECOND else Verdict.NO


_any: Final = either(_auth, _report, _old)


def answer(data: bytes) -> bool:
    """One byte that answers an SSLRequest: S, TLS begins; N, it does not."""
    return data in (b"S", b"N")
