"""SMB: the header of SMB 1, 2 or 3 behind its length ([MS-CIFS] 2.2.3.1, [MS-SMB2] 2.1, 2.2.1), or the answer to a
session request of NetBIOS (RFC 1002 section 4.3). Pure."""

from __future__ import annotations

from typing import Final

from stages.proto.recognise.verdict import Recogniser, either, shape

recognise: Final[Recogniser] = either(
    shape("\0???\xffSMB"), shape("\0???\xfeSMB"), shape("\0???\xfdSMB"),
    *(shape(f"\x83\0\0\1{chr(code)}") for code in (0x80, 0x81, 0x82, 0x83, 0x8F)),
)  # fmt: skip
