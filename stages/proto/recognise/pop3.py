"""POP3 (RFC 1939 section 3): +OK, or an -ERR that is none of redis. Pure."""

from __future__ import annotations

from typing import Final

from stages.proto.recognise import redis
from stages.proto.recognise.verdict import Verdict, line, starts

_said: Final = line(starts(b"+OK ", b"+OK\r\n", b"-ERR ", b"-ERR\r\n"), r"^.")


def recognise(data: bytes) -> Verdict:
    return Verdict.NO if redis.recognise(data) is Verdict.YES else _said(data)
