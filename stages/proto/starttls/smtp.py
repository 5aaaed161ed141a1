"""SMTP (RFC 5321, RFC 3207): EHLO, and STARTTLS where it is offered."""

from __future__ import annotations

from typing import Final

from stages.proto.starttls.text import Step, TextPrelude, step

STEPS: Final[tuple[Step, ...]] = (
    step("", r"\d{3}(?!-)", r"220"),
    step("EHLO longline\r\n", r"\d{3}(?!-)", r"250", r"^250[ -]STARTTLS\b"),
    step("STARTTLS\r\n", r"\d{3}(?!-)", r"220"),
)


def begin(name: bytes | None) -> TextPrelude:
    """The prelude of one connection."""
    return TextPrelude(STEPS)
