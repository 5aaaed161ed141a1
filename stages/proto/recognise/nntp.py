"""NNTP (RFC 3977 section 5.1): a greeting of 200 or 201, or a refusal, that speaks of news. Pure."""

from __future__ import annotations

from typing import Final

from stages.proto.recognise.verdict import Recogniser, line, starts

recognise: Final[Recogniser] = line(
    starts(b"200 ", b"201 ", b"400 ", b"502 ", b"480 "),
    r"nntp|news|\bINN\b|posting|leafnode|\breader\b|transit mode",
)
