"""VNC (RFC 6143 section 7.1.1): the version of RFB. Pure."""

from __future__ import annotations

from typing import Final

from stages.proto.recognise.verdict import Recogniser, shape

recognise: Final[Recogniser] = shape("RFB ###.###\n")
