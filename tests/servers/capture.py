"""Everything that passes an interface, both ways, in order: `python -m tests.servers.capture INTERFACE FILE`.

To be run at the other end of the scanner's cable: what leaves by AF_XDP or past the queueing discipline no packet
socket of the scanner's own side sees. Prints `ready` when it listens; SIGTERM ends it. A record is a direction (1: it
comes in, the scanner has sent it), what the kernel lost so far, a length, and the frame. `read` gives them back.
"""

from __future__ import annotations

import signal
import socket
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

_ETH_P_ALL: Final = 3
_PACKET_OUTGOING: Final = 4
_SOL_PACKET: Final = 263
_PACKET_STATISTICS: Final = 6
_SO_RCVBUFFORCE: Final = 33
_BUFFER: Final = 64 << 20
_RECORD: Final = struct.Struct("!BII")


class Frame(NamedTuple):
    ours: bool
    data: bytes


def capture(interface: str, file: Path) -> None:
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
    sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
    sock.bind((interface, 0))
    sock.settimeout(0.2)
    ending: list[int] = []
    signal.signal(signal.SIGTERM, lambda *_: ending.append(1))
    print("ready", flush=True)
    with file.open("wb") as out:
        while True:
            try:
                data, (_, _, kind, _, _) = sock.recvfrom(1 << 17)
            except TimeoutError:
                if ending:  # and all that came before is written
                    break
                continue
            out.write(_RECORD.pack(kind != _PACKET_OUTGOING, 0, len(data)) + data)
        lost = struct.unpack("II", sock.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8))[1]
        out.write(_RECORD.pack(2, lost, 0))


def read(file: Path) -> Iterator[Frame]:
    """The frames of a capture that has ended. Raises AssertionError when the kernel lost some."""
    text, at, whole = file.read_bytes(), 0, False
    while at < len(text):
        kind, lost, size = _RECORD.unpack_from(text, at)
        at += _RECORD.size
        if kind == 2:
            assert lost == 0, f"{lost} packets are not in the capture"
            whole = True
        else:
            yield Frame(kind == 1, text[at : at + size])
        at += size
    assert whole, "the capture was cut off"


if __name__ == "__main__":
    capture(sys.argv[1], Path(sys.argv[2]))
