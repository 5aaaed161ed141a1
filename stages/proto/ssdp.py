"""Answers to an SSDP search (UPnP Device Architecture 1.1 section 1.3.3), by the names of ZMap's upnp module. Pure."""

from __future__ import annotations

from typing import Final

#: How an answer begins.
STATUS: Final = b"HTTP/1.1 200 OK"

#: Header, in lower case -> field.
HEADERS: Final = {
    "server": "server", "location": "location", "usn": "usn", "st": "st", "ext": "ext",
    "cache-control": "cache_control", "x-user-agent": "x_user_agent", "agent": "agent", "date": "date",
}  # fmt: skip


def read(data: bytes) -> dict[str, str]:
    """The known headers that an answer has; nothing where it does not begin as one. The last of two holds."""
    status, *lines = data.split(b"\n")
    if status.rstrip(b"\r") != STATUS:
        return {}
    found = {}
    for line in lines:
        key, colon, value = line.rstrip(b"\r").partition(b":")
        name = HEADERS.get(key.strip().lower().decode("latin-1"))
        if colon and name is not None:
            found[name] = value.strip().decode("utf-8", "backslashreplace")
    return found
