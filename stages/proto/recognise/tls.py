"""TLS: a record with a ServerHello, or an alert (RFC 8446 sections 5.1 and 6, RFC 5246 section 6.2.1). Pure."""

from __future__ import annotations

from typing import Final

from stages.proto.recognise.verdict import Verdict
from stages.proto.tls.records import MAX_FRAGMENT

_ALERT: Final = 21
_HANDSHAKE: Final = 22
_SERVER_HELLO: Final = 2
#: SSL 3.0 to TLS 1.3 in the second byte of the version.
_MINORS: Final = range(5)


def recognise(data: bytes) -> Verdict:
    head = data[:6]
    tests = (
        lambda: head[0] in (_ALERT, _HANDSHAKE),
        lambda: head[1] == 3,
        lambda: head[2] in _MINORS,
        lambda: head[3] << 8 <= MAX_FRAGMENT,
        lambda: head[3] << 8 | head[4] == 2 if head[0] == _ALERT else 4 <= head[3] << 8 | head[4] <= MAX_FRAGMENT,
        lambda: head[5] in (1, 2) if head[0] == _ALERT else head[5] == _SERVER_HELLO,
    )
    if not all(test() for test in tests[: len(head)]):
        return Verdict.NO
    return Verdict.YES if len(head) == len(tests) else Verdict.MORE
