"""What each kind of service says, as data: a `Script` for every (kind, address, port). Pure.

A script is all there is to say of a plain service: what it says at once, what it answers to the first bytes it gets,
how fast, and how it ends. `servers` plays it on sockets, and `expectation` reads from it what a grab must find, so the
two cannot differ. Every text names its address, port and some bits of the truth, so that an answer that was mixed up
with another one is seen. TLS services have their scripts inside the encryption (`tlsanswers`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from hashlib import blake2b
from typing import Final

from stages.simnet.truth import Kind

#: Sent by a flood in all: many times what a grab keeps (64 KiB by default), yet the end of it is near.
FLOOD_BYTES: Final = 1 << 20

#: Between two bytes of a drip, seconds: a greeting takes less than most read timeouts in all.
DRIP_INTERVAL: Final = 0.03

#: Garbage is up to this long: two TCP segments of an Ethernet link.
GARBAGE_BYTES: Final = 2000


class End(Enum):
    """How the service ends once it has said everything."""

    FIN = "fin"  #: a FIN; then reads until the peer closes too, so that no RST overtakes the bytes
    STAY = "stay"  #: waits for the peer to close
    RST = "rst"  #: a RST


@dataclass(frozen=True, slots=True)
class Script:
    """One plain service. `reply` None: what the peer says is read and ignored."""

    greeting: bytes = b""
    reply: bytes | None = None
    end: End = End.STAY
    interval: float = 0.0  #: seconds between single bytes of the greeting; 0: all at once


_HTTP_SERVERS: Final = ("nginx/1.22.1", "Apache/2.4.62 (Debian)", "lighttpd/1.4.69", "Microsoft-IIS/10.0")
_SSH_VERSIONS: Final = ("OpenSSH_9.2p1 Debian-2+deb12u3", "OpenSSH_8.9p1 Ubuntu-3", "dropbear_2022.83", "ROSSSH")
_SMTP_SERVERS: Final = ("Postfix (Debian/GNU)", "Exim 4.96", "Sendmail 8.17.1")
_FTP_SERVERS: Final = ("(vsFTPd 3.0.3)", "ProFTPD Server", "Pure-FTPd [privsep]")


def http_response(ip: str, port: int, detail: int) -> bytes:
    """The answer to any request, the same for each method and path."""
    body = f"<html><head><title>{ip}:{port}</title></head><body>{detail:08x}</body></html>\n".encode()
    server = _HTTP_SERVERS[detail % len(_HTTP_SERVERS)]
    head = (
        f"HTTP/1.1 200 OK\r\nServer: {server}\r\nContent-Type: text/html\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body


def garbage(ip: str, port: int, detail: int) -> bytes:
    """Bytes that are no protocol: 64 and more, NUL and 0xFF among them, never a TLS record (22) or an ASCII first."""
    size = 64 + detail % (GARBAGE_BYTES - 64)
    seed = f"{ip}:{port}:{detail}".encode()
    blocks = (blake2b(seed, salt=n.to_bytes(8, "big")).digest() for n in range(size // 64 + 1))
    return b"\xff\x00" + b"".join(blocks)[: size - 2]


def flood(ip: str, port: int, detail: int) -> bytes:
    """All that a flood says: one line over and over."""
    line = f"{ip}:{port} {detail:08x} and so on\n".encode()
    return (line * (FLOOD_BYTES // len(line) + 1))[:FLOOD_BYTES]


def script(kind: Kind, ip: str, port: int, detail: int) -> Script:
    """The script of an open plain service. Raises ValueError for kinds that have none."""
    tag = f"{ip}:{port} {detail:08x}"
    match kind:
        case Kind.HTTP:
            return Script(reply=http_response(ip, port, detail), end=End.FIN)
        case Kind.SSH:
            version = _SSH_VERSIONS[detail % len(_SSH_VERSIONS)]
            return Script(greeting=f"SSH-2.0-{version} {tag}\r\n".encode())
        case Kind.SMTP:
            server = _SMTP_SERVERS[detail % len(_SMTP_SERVERS)]
            return Script(greeting=f"220 mail.simnet.example ESMTP {server} {tag}\r\n".encode())
        case Kind.FTP:
            server = _FTP_SERVERS[detail % len(_FTP_SERVERS)]
            return Script(greeting=f"220-{server}\r\n220 {tag}\r\n".encode())
        case Kind.SILENT:
            return Script()
        case Kind.DRIP:
            return Script(greeting=f"drip {tag}\r\n".encode(), interval=DRIP_INTERVAL, end=End.FIN)
        case Kind.FLOOD:
            return Script(greeting=flood(ip, port, detail), end=End.FIN)
        case Kind.RESET:
            return Script(end=End.RST)
        case Kind.HALF_CLOSE:
            return Script(greeting=f"half-close {tag}\r\n".encode(), end=End.FIN)
        case Kind.GARBAGE:
            return Script(greeting=garbage(ip, port, detail), end=End.FIN)
        case Kind.CLOSE:
            return Script(end=End.FIN)
        case _:
            raise ValueError(f"{kind.name} has no script")
