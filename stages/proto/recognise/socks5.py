"""SOCKS 5 (RFC 1928 section 3): the method that was chosen. Two bytes, so it is asked last. Pure."""

from __future__ import annotations

from typing import Final

from stages.proto.recognise.verdict import Recogniser, either, shape

recognise: Final[Recogniser] = either(*(shape(f"\x05{chr(method)}") for method in (0, 1, 2, 0xFF)))
