"""XMPP (RFC 6120 section 4.2): a stream, with or without an XML declaration before it. Pure."""

from __future__ import annotations

import re
from typing import Final

from stages.proto.recognise.verdict import LINE, Verdict, starts

_declared: Final = starts(b"<?xml")
_stream: Final = starts(b"<stream:", b"</stream:")
_DECLARATION: Final = re.compile(rb"<\?xml[^>]*\?>\s*", re.IGNORECASE)


def recognise(data: bytes) -> Verdict:
    head = data[:LINE]
    if _stream(head) is not Verdict.NO:
        return _stream(head)
    begun = _declared(head)
    if begun is not Verdict.YES:
        return begun
    found = _DECLARATION.match(head)
    if found is None:
        ended = b">" in head or len(head) == LINE
        return Verdict.NO if ended else Verdict.MORE
    rest = head[found.end() :]
    return _stream(rest) if rest or len(head) < LINE else Verdict.NO
