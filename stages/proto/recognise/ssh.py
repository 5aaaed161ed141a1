"""SSH (RFC 4253 section 4.2): the identification. Lines before it are the dialogue's affair. Pure."""

from __future__ import annotations

from typing import Final

from stages.proto.recognise.verdict import Recogniser, shape

recognise: Final[Recogniser] = shape("SSH-#.#")
