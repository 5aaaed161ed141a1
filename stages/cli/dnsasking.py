"""DNS questions of `longline doctor`, to one server over UDP (RFC 1035): what an address is called, and back."""

from __future__ import annotations

import ipaddress
import re
import secrets
import socket
import time
from pathlib import Path
from typing import Final

from stages.core.errors import UsageError
from stages.net import confine
from stages.proto.dns import TYPES, Question, read

PORT: Final = 53

#: Tries, and seconds for each: a name server that is there answers within one.
TRIES: Final = 3
SECONDS: Final = 2.0

#: Bytes of a datagram that is taken: without EDNS a server sends at most 512.
_BYTES: Final = 4_096

#: RCODE of RFC 1035 section 4.1.1: no error, and no such name.
_NO_ERROR, _NO_NAME = 0, 3

RESOLV_CONF: Final = Path("/etc/resolv.conf")


class Resolver:
    """Asks `server`: HOST or HOST:PORT, an address; None: the first of resolv.conf(5)."""

    def __init__(self, server: str | None = None, conf: Path = RESOLV_CONF) -> None:
        """Raises UsageError."""
        self._server = _first(conf) if server is None else _parted(server)

    def reverse(self, ip: str) -> tuple[str, ...]:
        """What an address is called; nothing where it has no name. Blocks. Raises OSError: no answer."""
        return self._ask(ipaddress.ip_address(ip).reverse_pointer, "PTR")

    def forward(self, name: str, version: int) -> tuple[str, ...]:
        """Its addresses of an IP version. Blocks. Raises OSError."""
        return self._ask(name, "A" if version == 4 else "AAAA")

    def _ask(self, name: str, kind: str) -> tuple[str, ...]:
        host, port = self._server
        confine.check_address(host)
        try:
            body = Question(name, TYPES[kind]).body()
        except ValueError as error:
            raise OSError(0, str(error)) from None
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as talk:
            talk.connect((host, port))  # the kernel drops what others send
            for _ in range(TRIES):
                number = secrets.randbits(16)
                talk.send(number.to_bytes(2, "big") + body)
                found = _answer(talk, number, name, kind)
                if found is not None:
                    return found
        raise TimeoutError(0, f"the name server {host} does not answer")


def _answer(talk: socket.socket, number: int, name: str, kind: str) -> tuple[str, ...] | None:
    end = time.monotonic() + SECONDS
    while (left := end - time.monotonic()) > 0:
        talk.settimeout(left)
        try:
            said = read(talk.recv(_BYTES))
        except TimeoutError:
            return None
        asked = [(question["name"].lower(), question["qtype"]) for question in said["dns_questions"]]
        if said["dns_id"] != number or not said["dns_qr"] or asked != [(name.rstrip(".").lower(), TYPES[kind])]:
            continue
        if said["dns_rcode"] not in (_NO_ERROR, _NO_NAME):
            raise OSError(0, f"the name server answers with RCODE {said['dns_rcode']}")
        # Names below a CNAME (RFC 2317) are answered in the same message.
        records = [one for one in said["dns_answers"] if one["type"] == TYPES[kind] and one["rdata_is_parsed"]]
        return tuple(str(one["rdata"]).lower() for one in records)
    return None


def _parted(server: str) -> tuple[str, int]:
    found = re.fullmatch(r"(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+))(?::([0-9]{1,5}))?", server, re.ASCII)
    host = server if found is None else found[1] or found[2]
    try:
        ipaddress.ip_address(host)
    except ValueError:
        raise UsageError("--resolver", server, "not ADDRESS or ADDRESS:PORT") from None
    return host, int((found and found[3]) or PORT)


def _first(conf: Path) -> tuple[str, int]:
    try:
        lines = conf.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    for line in lines:
        words = line.split()
        if len(words) > 1 and words[0] == "nameserver":
            return words[1], PORT
    return "127.0.0.1", PORT
