"""Redis (RESP): +PONG, and the errors that it has for strangers. Pure."""

from __future__ import annotations

from typing import Final

from stages.proto.recognise.verdict import Recogniser, either, line, starts

_ERRORS: Final = (
    r"^-ERR (unknown command|unknown subcommand|wrong number of arguments|protocol error|operation not permitted"
    r"|max number of clients|invalid password|syntax error|unbalanced|client sent auth|auth)"
)

recognise: Final[Recogniser] = either(
    starts(b"+PONG\r\n", b"$7\r\nPONG", b"-NOAUTH ", b"-DENIED ", b"-LOADING ", b"-WRONGPASS ", b"-MISCONF ",
           b"-MASTERDOWN ", b"-NOPERM "),
    line(starts(b"-ERR "), _ERRORS),
)  # fmt: skip
