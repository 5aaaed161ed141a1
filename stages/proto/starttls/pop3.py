"""POP3 (RFC 1939, RFC 2595 section 4)."""

from __future__ import annotations

from typing import Final

from stages.proto.starttls.text import Step, TextPrelude, step

STEPS: Final[tuple[Step, ...]] = (
    step("", r"[+-]", r"\+OK"),
    step("STLS\r\n", r"[+-]", r"\+OK"),
)


def begin(name: bytes | None) -> TextPrelude:
    """The prelude of one connection."""
    return TextPrelude(STEPS)
