"""Microsoft SQL Server: a tabular result that begins like the answer to PRELOGIN ([MS-TDS] 2.2.3.1, 2.2.6.5). Pure."""

from __future__ import annotations

from typing import Final

from stages.proto.recognise.verdict import Recogniser, shape

recognise: Final[Recogniser] = shape("\4\1\0???\1\0\0\0?\0\6\1")
