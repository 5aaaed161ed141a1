"""ManageSieve (RFC 5804): the greeting lists the capabilities."""

from __future__ import annotations

from typing import Final

from stages.proto.starttls.text import Step, TextPrelude, step

STEPS: Final[tuple[Step, ...]] = (
    step("", r"(OK|NO|BYE)\b", r"OK\b", r"^\"STARTTLS\""),
    step("STARTTLS\r\n", r"(OK|NO|BYE)\b", r"OK\b"),
)


def begin(name: bytes | None) -> TextPrelude:
    """The prelude of one connection."""
    return TextPrelude(STEPS)
