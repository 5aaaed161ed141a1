"""RDP: a connection confirm ([MS-RDPBCGR] 2.2.1.2: TPKT, X.224). What else has X.224 (S7) confirms otherwise. Pure."""

from __future__ import annotations

from typing import Final

from stages.proto.recognise.verdict import Recogniser, either, shape

recognise: Final[Recogniser] = either(
    shape("\3\0\0\x0b\x06\xd0\0\0"),  # before Windows Vista: no negotiation
    shape("\3\0\0\x13\x0e\xd0?????\2?\x08\0"),  # the protocol that was chosen
    shape("\3\0\0\x13\x0e\xd0?????\3?\x08\0"),  # or why none was
)
