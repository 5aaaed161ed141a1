"""DNS over TCP (RFC 1035 sections 4.1.1 and 4.2.2): a length and the header of an answer. Pure."""

from __future__ import annotations

from typing import Final

from stages.proto.recognise.verdict import LOOK, Verdict

_HEADER: Final = 12
_WHOLE: Final = 2 + _HEADER
#: Records of a section that an answer to one question has, at most; each has 11 bytes or more.
_RECORD: Final = 11


def recognise(data: bytes) -> Verdict:
    head = data[:_WHOLE]
    if len(head) > 1 and not _HEADER <= int.from_bytes(head[:2], "big") <= LOOK:
        return Verdict.NO
    if (len(head) > 4 and not head[4] & 0x80) or (head[:1] and head[0] << 8 > LOOK):
        return Verdict.NO  # no answer
    if len(head) > 4 and head[4] >> 3 & 15 not in (0, 2, 4, 5):
        return Verdict.NO
    if len(head) > 5 and head[5] & 0x40:
        return Verdict.NO
    if len(head) < _WHOLE:
        return Verdict.MORE
    room = int.from_bytes(head[:2], "big") - _HEADER
    asked, *counts = (int.from_bytes(head[at : at + 2], "big") for at in range(6, _WHOLE, 2))
    return Verdict.YES if asked <= 1 and sum(counts) * _RECORD <= room else Verdict.NO
