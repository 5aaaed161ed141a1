"""ManageSieve (RFC 5804 section 1.7): the greeting is the list of capabilities. Pure."""

from __future__ import annotations

from typing import Final

from stages.proto.recognise.verdict import Recogniser, starts

recognise: Final[Recogniser] = starts(b'"IMPLEMENTATION" ')
