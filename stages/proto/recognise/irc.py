"""IRC (RFC 2812): notices to one who has no name yet, or why it is closed. Pure."""

from __future__ import annotations

from typing import Final

from stages.proto.recognise.verdict import Recogniser, either, line, starts

recognise: Final[Recogniser] = either(
    starts(b"NOTICE AUTH :", b"NOTICE * :", b"ERROR :"),
    line(starts(b":"), r"^:[\w.:-]+ (NOTICE \S+ :|PING |451 |421 |020 )"),
)
