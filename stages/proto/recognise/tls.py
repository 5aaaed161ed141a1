"""TLS: a record with a ServerHello, or an alert (RFC 8446 sections 5.1 and 6, RFC 5246 section 6.2.1). Pure."""

from __future__ import annotations

from typing import Final

from stages.proto.recognise.verdict import Verdict
from stages.proto.tls.records import MAX_FRAGMENT

_MAJOR: Final = 3
#: SSL 3.0 to TLS 1.3 in the second byte of the version.
_MINORS: Final = range(5)
_ALERT_BYTES: Final = (2,)
_HELLO_BYTES: Final = range(4, MAX_FRAGMENT + 1)
_LEVELS: Final = (1, 2)
_SERVER_HELLO: Final = (2,)


def recognise(data: bytes) -> Verdict:
    head = data[:6]
    alert = head[:1] == b"\x15"
    if not alert and head[:1] not in (b"", b"\x16"):
        return Verdict.NO
    if len(head) > 1 and head[1] != _MAJOR:
        return Verdict.NO
    if len(head) > 2 and head[2] not in _MINORS:
        return Verdict.NO
    if len(head) > 3 and head[3] << 8 > (0 if alert else MAX_FRAGMENT):
        return Verdict.NO
    if len(head) > 4 and (head[3] << 8 | head[4]) not in (_ALERT_BYTES if alert else _HELLO_BYTES):
        return Verdict.NO
    if len(head) < 6:
        return Verdict.MORE
    return Verdict.YES if head[5] in (_LEVELS if alert else _SERVER_HELLO) else Verdict.NO
