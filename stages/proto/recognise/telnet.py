"""Telnet (RFC 854): an option is negotiated before anything is said. Pure."""

from __future__ import annotations

from typing import Final

from stages.proto.recognise.verdict import Verdict

_IAC: Final = 255
_SB: Final = 250
#: WILL, WONT, DO, DONT.
_VERBS: Final = frozenset((251, 252, 253, 254))
#: Options that IANA has given out, and those that are in use without.
_OPTIONS: Final = frozenset((*range(50), 138, 139, 140, 200, 201, 255))


def recognise(data: bytes) -> Verdict:
    head = data[:3]
    if head[:1] not in (b"", b"\xff"):
        return Verdict.NO
    if len(head) > 1 and head[1] not in _VERBS and head[1] != _SB:
        return Verdict.NO
    if len(head) > 2 and head[2] not in _OPTIONS:
        return Verdict.NO
    return Verdict.YES if len(head) == 3 else Verdict.MORE
