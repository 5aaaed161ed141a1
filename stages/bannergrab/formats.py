r"""Lines of a pipe: banner records as JSON, or `IP BANNER` as ZMap's banner-grab printed them. Pure.

    json     the whole record; every target gives a line, also those that failed
    zgrab2   as zgrab2's `banner` prints it (`stages.core.zgrab2`); every target too
    hex      192.0.2.1 5353482d322e30
    base64   192.0.2.1 U1NILTIuMA==
    ascii    192.0.2.1 SSH-2.0-OpenSSH\r\n       one line whatever the bytes are

In the others, as in banner-grab: connected but no byte is `IP X`, and what did not connect gives no line (the
counters and `-f json` tell why). `IP` is `IP:PORT` (`[v6]:PORT`) where the port is not that of `-p`.

hex and base64 are of the raw bytes, and neither ever is `X`. ascii writes printable ASCII as it is, and backslash, CR,
LF, TAB and every other byte as `\\`, `\r`, `\n`, `\t`, `\xNN`; a banner that is the one letter X is `\x58`. So it is
lossless too, and never breaks a line.
"""

from __future__ import annotations

from binascii import b2a_base64, hexlify
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from stages.core.outcome import Outcome
from stages.core.zgrab2 import banner_line

if TYPE_CHECKING:
    from stages.core.records import Banner

#: A Banner -> a line without its end; None: no line.
Format = Callable[["Banner"], bytes | None]

#: What stands for "connected, but nothing came".
NOTHING: Final = b"X"

_ESCAPES: Final = {0x5C: b"\\\\", 0x0A: b"\\n", 0x0D: b"\\r", 0x09: b"\\t"}
_TABLE: Final = tuple(
    _ESCAPES.get(byte, bytes((byte,)) if 0x20 <= byte < 0x7F else b"\\x%02x" % byte) for byte in range(256)
)

#: Ended before there was a connection, or without one being tried.
_NEVER_CONNECTED: Final = frozenset({Outcome.BLOCKED, Outcome.EXPIRED, Outcome.LOCAL, Outcome.CANCELLED})


def escape(data: bytes) -> bytes:
    """Bytes as printable ASCII on one line."""
    if data == NOTHING:
        return b"\\x58"
    return b"".join([_TABLE[byte] for byte in data])


def _base64(data: bytes) -> bytes:
    return b2a_base64(data, newline=False)


_ENCODERS: Final[dict[str, Callable[[bytes], bytes]]] = {"hex": hexlify, "ascii": escape, "base64": _base64}


def as_json(banner: Banner) -> bytes | None:
    return banner.dump()


def formatter(name: str, default_port: int | None) -> Format:
    """The format of that name; `default_port` is the port that is not printed. Raises KeyError for an unknown one."""
    if name == "json":
        return as_json
    if name == "zgrab2":
        return banner_line
    encode = _ENCODERS[name]

    def line(banner: Banner) -> bytes | None:
        if banner.data:
            text = encode(banner.data)
        elif _connected(banner):
            text = NOTHING
        else:
            return None
        return b"%s %s" % (_address(banner, default_port), text)

    return line


def _connected(banner: Banner) -> bool:
    if banner.transport == "udp":
        return banner.outcome is Outcome.OK
    return banner.connect is not None and banner.outcome not in _NEVER_CONNECTED


def _address(banner: Banner, default_port: int | None) -> bytes:
    if banner.port == default_port:
        return banner.ip.encode("ascii")
    if ":" in banner.ip:
        return f"[{banner.ip}]:{banner.port}".encode("ascii")
    return f"{banner.ip}:{banner.port}".encode("ascii")
