"""BGP (RFC 4271 section 4.1): the marker, a length, a type. Pure."""

from __future__ import annotations

from typing import Final

from stages.proto.recognise.verdict import Verdict, shape

_header: Final = shape("\xff" * 16 + "???")
_LENGTHS: Final = range(19, 4097)
_TYPES: Final = range(1, 6)


def recognise(data: bytes) -> Verdict:
    if len(data) > 17 and int.from_bytes(data[16:18], "big") not in _LENGTHS:
        return Verdict.NO
    if (len(data) > 18 and data[18] not in _TYPES) or (len(data) > 16 and data[16] > 16):
        return Verdict.NO
    return _header(data)
