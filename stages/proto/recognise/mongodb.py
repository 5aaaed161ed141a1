"""MongoDB: the header of a reply (Wire Protocol: OP_REPLY, OP_MSG, OP_COMPRESSED), or what it says to HTTP. Pure."""

from __future__ import annotations

from typing import Final

from stages.proto.recognise.verdict import Verdict, either, shape

_HEADER: Final = 16
_CODES: Final = (1, 2012, 2013)
#: maxMessageSizeBytes is 48,000,000.
_MAX: Final = 48_000_000

_to_http: Final = shape(
    "HTTP/1.0 200 OK\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: 85\r\n\r\n"
    "It looks like you are trying to access MongoDB"
)


def _reply(data: bytes) -> Verdict:
    """Until the code is here, only the length tells: the last of all that are asked."""
    if len(data) >= 4 and not _HEADER < int.from_bytes(data[:4], "little") <= _MAX:
        return Verdict.NO
    if len(data) < _HEADER:
        code = data[12:]
        known = not code or any(each.to_bytes(4, "little").startswith(code) for each in _CODES)
        return Verdict.MORE if known else Verdict.NO
    return Verdict.YES if int.from_bytes(data[12:_HEADER], "little") in _CODES else Verdict.NO


recognise: Final = either(_reply, _to_http)
