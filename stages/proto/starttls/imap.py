"""IMAP (RFC 3501 section 6.2.1)."""

from __future__ import annotations

from typing import Final

from stages.proto.starttls.text import Step, TextPrelude, step

STEPS: Final[tuple[Step, ...]] = (
    step("", r"\*", r"\* OK\b"),
    step("a STARTTLS\r\n", r"a ", r"a OK\b"),
)


def begin(name: bytes | None) -> TextPrelude:
    """The prelude of one connection."""
    return TextPrelude(STEPS)
