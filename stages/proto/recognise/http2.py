"""HTTP/2 (RFC 9113 sections 3.4 and 6.5): the server's preface is a SETTINGS frame on stream 0. Pure."""

from __future__ import annotations

from typing import Final

from stages.proto.recognise.verdict import Verdict, shape

_frame: Final = shape("\0\0?\4\0\0\0\0\0")

#: One setting is six bytes; there are no more than forty.
_SETTING: Final = 6


def recognise(data: bytes) -> Verdict:
    if len(data) > 2 and data[2] % _SETTING:
        return Verdict.NO
    return _frame(data)
