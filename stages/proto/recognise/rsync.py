"""rsync (its csprotocol.txt): the daemon greets with the version of the protocol. Pure."""

from __future__ import annotations

from typing import Final

from stages.proto.recognise.verdict import Recogniser, shape

recognise: Final[Recogniser] = shape("@RSYNCD: ##")
