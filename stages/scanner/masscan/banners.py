"""What a port said, out of a banner record, as masscan's formats write it. Pure."""

from __future__ import annotations

import re
from typing import Final

from stages.core.records import Banner as Record
from stages.scanner.masscan.items import Banner
from stages.scanner.masscan.services import UNKNOWN, port_name

#: What services begin with (RFC 4253 4.2, RFC 9112 4, RFC 959 5.4, RFC 5321 4.2, RFC 1939 3, RFC 9051 7.1, RFC 6143
#: 7.1.1, RFC 854), by masscan's names.
BEGINNINGS: Final = (
    (re.compile(rb"SSH-[12]\."), "ssh"),
    (re.compile(rb"HTTP/[0-9]"), "http"),
    (re.compile(rb"220[ -][^\r\n]*(?i:ftp)"), "ftp"),
    (re.compile(rb"220[ -][^\r\n]*(?i:smtp|mail)"), "smtp"),
    (re.compile(rb"\+OK"), "pop"),
    (re.compile(rb"\* (OK|PREAUTH|BYE)"), "imap"),
    (re.compile(rb"RFB 0"), "vnc"),
    (re.compile(rb"\xff[\xfb-\xfe]"), "telnet"),
    (re.compile(rb"[\x15\x16]\x03[\x00-\x04]"), "ssl"),
)


def banner_of(record: Record) -> Banner | None:
    """None: nothing was said."""
    if not record.data:
        return None
    return Banner(
        record.ts // 1_000_000, record.ip, record.transport, record.port, service_of(record), record.data
    )  # fmt: skip


def service_of(record: Record) -> str:
    """By how it begins; else by its port, for a UDP answer is to what is asked there."""
    for begins, name in BEGINNINGS:
        if begins.match(record.data):
            return name
    return port_name(record.transport, record.port) if record.transport == "udp" else UNKNOWN
