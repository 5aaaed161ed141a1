"""A name server of our own on loopback: PTR, A and AAAA from a table (RFC 1035)."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from typing import Final

from stages.proto.dns import TYPES, Question, read

_TTL: Final = 60
#: Seconds between two looks at whether it is over.
_LOOK: Final = 0.1
_POINTER: Final = b"\xc0\x0c"  # to the name of the question

Table = Mapping[tuple[str, str], Sequence[str]]


def answer(query: bytes, table: Table) -> bytes:
    """What is said to a question: NXDOMAIN where the table has nothing."""
    said = read(query)
    [asked] = said["dns_questions"]
    kind, name = asked["qtype_str"], asked["name"].lower()
    found = table.get((kind, name))
    records = b""
    for value in found or ():
        # A CNAME before what was asked for, as RFC 2317 has it, is written `NAME: value`.
        alias, _, rest = value.partition(" ") if " " in value else ("", "", value)
        if alias:
            records += _record(_POINTER, "CNAME", alias)
        records += _record(Question(alias).section()[:-4] if alias else _POINTER, kind, rest)
    count = len(found or ()) + sum(" " in value for value in found or ())
    flags = 0x8180 if found is not None else 0x8183
    return (
        query[:2]
        + struct.pack("!5H", flags, 1, count, 0, 0)
        + Question(asked["name"], asked["qtype"]).section()
        + records
    )


def _record(name: bytes, kind: str, value: str) -> bytes:
    data = ip_address(value).packed if kind in ("A", "AAAA") else Question(value).section()[:-4]
    return name + struct.pack("!HHIH", TYPES[kind], 1, _TTL, len(data)) + data


@contextmanager
def nameserver(reply: Callable[[bytes], Sequence[bytes]]) -> Iterator[str]:
    """`ADDRESS:PORT`, where each query is answered with what `reply` makes of it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as talk:
        talk.bind(("127.0.0.1", 0))

        talk.settimeout(_LOOK)
        over = threading.Event()

        def serve() -> None:
            while not over.is_set():
                with suppress(TimeoutError):
                    query, peer = talk.recvfrom(4_096)
                    for each in reply(query):
                        talk.sendto(each, peer)

        thread = threading.Thread(target=serve)
        thread.start()
        host, port = talk.getsockname()
        try:
            yield f"{host}:{port}"
        finally:
            over.set()
            thread.join()
