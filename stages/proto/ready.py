"""Payload files that come with the program, so that the manuals' commands work as they stand.

http-req           an HTTP request for bannergrab, `%s` is the target's address
netbios_137.pkt    a NetBIOS node status request
sip_options.tpl    a SIP OPTIONS request, a template
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

_FOLDER: Final = Path(__file__).parent / "ready"

NAMES: Final = ("http-req", "netbios_137.pkt", "sip_options.tpl")


def read(file: str) -> bytes:
    """The bytes of a file; a bare name that is no file here may be one of `NAMES`. Raises OSError."""
    try:
        return Path(file).read_bytes()
    except FileNotFoundError:
        if file not in NAMES:
            raise
        return read_shipped(file)


def shipped(name: str) -> Path:
    """The file of that name that comes with the program, whatever lies in our own folder. Raises KeyError."""
    if name not in NAMES:
        raise KeyError(name)
    return _FOLDER / name


def read_shipped(name: str) -> bytes:
    """Its bytes. Raises KeyError."""
    return shipped(name).read_bytes()
