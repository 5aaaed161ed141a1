"""SIP (RFC 3261 section 7.2): a status line. Pure."""

from __future__ import annotations

from typing import Final

from stages.proto.recognise.verdict import Recogniser, shape

recognise: Final[Recogniser] = shape("SIP/#.# ###")
