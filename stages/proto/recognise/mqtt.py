"""MQTT: CONNACK (3.1.1 section 3.2, 5.0 section 3.2). Pure."""

from __future__ import annotations

from typing import Final

from stages.proto.recognise.verdict import Verdict

_CONNACK: Final = 0x20
#: Return codes of version 3.
_CODES: Final = range(6)
#: Bytes behind the header in version 5: flags, reason, length of the properties and these.
_LENGTHS: Final = range(3, 128)
#: Reasons of version 5: success, or an error (section 2.4).
_ERRORS: Final = range(0x80, 0xA3)


def recognise(data: bytes) -> Verdict:
    head = data[:4]
    if head[:1] not in (b"", b"\x20"):
        return Verdict.NO
    if len(head) > 1 and head[1] != 2 and head[1] not in _LENGTHS:
        return Verdict.NO
    if len(head) > 2 and head[2] > 1:
        return Verdict.NO
    if len(head) < 4:
        return Verdict.MORE
    known = head[3] in _CODES if head[1] == 2 else not head[3] or head[3] in _ERRORS
    return Verdict.YES if known else Verdict.NO
