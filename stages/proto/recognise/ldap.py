"""LDAP (RFC 4511 section 4.1.1): an LDAPMessage with an answer in it. Pure."""

from __future__ import annotations

from typing import Final

from stages.proto.recognise.verdict import Verdict

_SEQUENCE: Final = 0x30
_INTEGER: Final = 0x02
#: bindResponse, searchResEntry, searchResDone, searchResRef, extendedResp.
_ANSWERS: Final = (0x61, 0x64, 0x65, 0x73, 0x78)
#: Bytes of a length in its long form, and of a message id.
_LONG: Final = 4


def recognise(data: bytes) -> Verdict:
    if data[:1] not in (b"", b"\x30"):
        return Verdict.NO
    if len(data) < 2:
        return Verdict.MORE
    at = 2
    if data[1] & 0x80:
        count = data[1] & 0x7F
        if not 1 <= count <= _LONG:
            return Verdict.NO
        at += count
    if (len(data) > at and data[at] != _INTEGER) or (len(data) > at + 1 and not 1 <= data[at + 1] <= _LONG):
        return Verdict.NO
    if len(data) < at + 2:
        return Verdict.MORE
    at += 2
    at += data[at - 1]
    if len(data) <= at:
        return Verdict.MORE
    return Verdict.YES if data[at] in _ANSWERS else Verdict.NO
