"""FTP (RFC 959, RFC 4217 section 4)."""

from __future__ import annotations

from typing import Final

from stages.proto.starttls.text import Step, TextPrelude, step

STEPS: Final[tuple[Step, ...]] = (
    step("", r"\d{3}(?!-)", r"220"),
    step("AUTH TLS\r\n", r"\d{3}(?!-)", r"234"),
)


def begin(name: bytes | None) -> TextPrelude:
    """The prelude of one connection."""
    return TextPrelude(STEPS)
