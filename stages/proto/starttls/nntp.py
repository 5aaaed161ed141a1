"""NNTP (RFC 3977, RFC 4642 section 2.2)."""

from __future__ import annotations

from typing import Final

from stages.proto.starttls.text import Step, TextPrelude, step

STEPS: Final[tuple[Step, ...]] = (
    step("", r"\d{3}", r"20[01]"),
    step("STARTTLS\r\n", r"\d{3}", r"382"),
)


def begin(name: bytes | None) -> TextPrelude:
    """The prelude of one connection."""
    return TextPrelude(STEPS)
