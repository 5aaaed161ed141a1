"""IMAP (RFC 3501 section 7.1): an untagged OK, PREAUTH or BYE. Pure."""

from __future__ import annotations

from typing import Final

from stages.proto.recognise.verdict import Recogniser, starts

recognise: Final[Recogniser] = starts(b"* OK ", b"* OK\r\n", b"* PREAUTH ", b"* BYE ")
