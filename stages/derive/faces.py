"""What of a banner stays the same from one conversation to the next, so that a change is a change of the service. Pure.

Many servers say the time, a counter or a random number in each greeting; told as changes they would hide the real ones.
A service shows the first bytes of its banner and the SHA-256 of the whole (`stages.sink.documents`); of these is made:

    HTTP    the status line and the Server header
    SSH     the identification line (RFC 4253 section 4.2): what follows has a random cookie
    MySQL   the version of the server's greeting: its salt follows
    text    times, dates, counters of users and the timestamps of APOP (RFC 1939 section 7) left out
    others  the whole, as it is
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

#: Characters of a banner that an event shows.
SAID_CHARS: Final = 80

_MONTHS: Final = rb"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*"
_VARYING: Final = re.compile(
    rb"<[\w.$+-]+@[^<>\s]*>"  # APOP
    rb"|\b\d{4}-\d\d-\d\d(?=\D)|\b\d{1,2}[ -]" + _MONTHS + rb"[ -]\d{2,4}\b|\b" + _MONTHS + rb" +\d{1,2}\b"
    rb"|\b\d{1,2}:\d\d(?::\d\d)?(?:\.\d+)?(?: ?[AP]M)?\b|[+-]\d{4}\b|\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)\b"
    rb"|\buser number \d+"
)
_SERVER: Final = re.compile(rb"\r?\nserver:[^\r\n]*(?=\r?\n)", re.IGNORECASE)
_STATUS: Final = re.compile(rb"HTTP/\d(?:\.\d)? \d{3}[^\r\n]*")
_SSH: Final = re.compile(rb"(?:^|\n)(SSH-[^\r\n]+)")
_MYSQL: Final = re.compile(rb"..\0\0\x0a([\x20-\x7e]{1,64})\0", re.DOTALL)
_TEXT: Final = re.compile(rb"[\t\r\n\x20-\x7e]+")


def face(banner: Mapping[str, Any]) -> str | None:
    """SHA-256 over what stays, of a service's latest banner; None: nothing was said."""
    if not banner.get("size"):
        return None
    data = bytes(banner["data"])
    found = _SSH.search(data)
    if found is not None and _TEXT.fullmatch(data[: found.end()]):  # lines may come before it
        return sha256(found[1]).hexdigest()
    found = _MYSQL.match(data)
    if found is not None:
        return sha256(found[1]).hexdigest()
    status = _STATUS.match(data)
    if status is not None:
        server = _SERVER.search(data.partition(b"\r\n\r\n")[0] + b"\r\n")
        return sha256(status[0] + (server[0].strip() if server is not None else b"")).hexdigest()
    if _TEXT.fullmatch(data):
        stays, varying = _VARYING.subn(b"", data)
        if varying:
            return sha256(stays).hexdigest()
    return str(banner["sha256"])


def said(banner: Mapping[str, Any]) -> str:
    """Its first line, for people: what is not printable ASCII is escaped."""
    line = bytes(banner.get("data") or b"").lstrip(b"\r\n").partition(b"\n")[0].rstrip(b"\r")[:SAID_CHARS]
    return "".join(chr(c) if 32 <= c < 127 else f"\\x{c:02x}" for c in line)[:SAID_CHARS]
