"""TCP servers of a real kernel that talk in every way that is hard to listen to: `python -m tests.servers.nasty`.

Each behaviour has a port of its own (`PORTS`) on every address; what it says is `SAID`, a function of nothing, so that
whoever reads it knows what is right. Prints `ready` when all listen; ends with SIGTERM. One thread for each connection.
Waits in here are how a server behaves; no test waits for them.
"""

from __future__ import annotations

import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

Handler = Callable[[socket.socket], None]

#: A client may take so long to say something, on a machine that has other things to do.
PATIENCE_S: Final = 60.0
#: What this server waits for the sake of behaving badly.
PAUSE_S: Final = 0.3
#: The least that Linux takes for TCP_MAXSEG (TCP_MIN_MSS).
TINY_MSS: Final = 88


def pattern(size: int, seed: int = 0) -> bytes:
    """Bytes in which no piece is like another one nearby: 4-byte counters; without `%`, which a payload's text may not
    have by itself."""
    return b"".join(struct.pack("!I", (seed << 24) + n) for n in range(size // 4 + 1))[:size].replace(b"%", b"#")


DRIP: Final = b"220 one byte at a time, like a modem of old\r\n"
MEGABYTE: Final = pattern(1 << 20, 1)
SHORT: Final = b"220 short and good\r\n"
LONG: Final = pattern(20_000, 2)
#: More than a window's worth of a small receive buffer: who does not read it shuts the window.
STUFFING: Final = 40_000


def _drip(connection: socket.socket) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in DRIP:
        connection.sendall(bytes((byte,)))
        time.sleep(0.002)
    connection.close()


def _say(data: bytes) -> Handler:
    def handler(connection: socket.socket) -> None:
        connection.sendall(data)
        connection.close()

    return handler


def _echo(connection: socket.socket) -> None:
    """The first line, said back; the connection stays open until the other side ends it."""
    line = b""
    while not line.endswith(b"\n"):
        more = connection.recv(65536)
        if not more:
            break
        line += more
    connection.sendall(b"echo: " + line)
    with suppress(OSError):
        while connection.recv(65536):
            pass
    connection.close()


def _count(connection: socket.socket) -> None:
    """Shuts its window for a while, then reads all and says how much and whether it was right."""
    time.sleep(2 * PAUSE_S)
    data = b""
    while len(data) < STUFFING:
        more = connection.recv(65536)
        if not more:
            break
        data += more
    connection.sendall(b"%d bytes, %s\r\n" % (len(data), b"right" if data == pattern(STUFFING, 3) else b"wrong"))
    connection.close()


def _reset(connection: socket.socket) -> None:
    connection.sendall(LONG)
    while unsent(connection):
        time.sleep(0.001)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def unsent(connection: socket.socket) -> int:
    """Bytes that are not acknowledged (SIOCOUTQ, tcp(7))."""
    import fcntl

    return int(struct.unpack("i", fcntl.ioctl(connection, 0x5411, b"\0\0\0\0"))[0])


def _fin_with_data(connection: socket.socket) -> None:
    """The FIN rides on the last segment: MSG_MORE holds that back."""
    connection.send(SHORT, socket.MSG_MORE)
    connection.close()


def _half_close(connection: socket.socket) -> None:
    connection.sendall(SHORT)
    connection.shutdown(socket.SHUT_WR)
    with suppress(OSError):
        while connection.recv(65536):
            pass
    connection.close()


def _at_once(connection: socket.socket) -> None:
    """Both sides close: this one as soon as the other has said something, without reading more."""
    connection.recv(65536)
    connection.sendall(SHORT)
    connection.shutdown(socket.SHUT_WR)


def _keepalive(connection: socket.socket) -> None:
    """Probes of an idle connection come before the first word does."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)
    time.sleep(2.5)
    connection.sendall(SHORT)
    connection.close()


def _late(connection: socket.socket) -> None:
    time.sleep(PAUSE_S)
    connection.sendall(SHORT)
    connection.close()


def _mute(connection: socket.socket) -> None:
    with suppress(OSError):
        while connection.recv(65536):
            pass
    connection.close()


def _empty(connection: socket.socket) -> None:
    connection.close()


def _hold(connection: socket.socket) -> None:
    """A session: everything is echoed, line by line, for as long as it lasts."""
    with suppress(OSError):
        while data := connection.recv(65536):
            connection.sendall(data)
    connection.close()


#: name -> (port, what it does, options of the listening socket).
SERVERS: Final[dict[str, tuple[int, Handler, tuple[tuple[int, int, int], ...]]]] = {
    "drip": (9001, _drip, ()),
    "megabyte": (9002, _say(MEGABYTE), ()),
    "short": (9003, _say(SHORT), ()),
    "tiny-mss": (9004, _echo, ((socket.IPPROTO_TCP, socket.TCP_MAXSEG, TINY_MSS),)),
    "tiny-mss-long": (9005, _say(LONG), ((socket.IPPROTO_TCP, socket.TCP_MAXSEG, TINY_MSS),)),
    "zero-window": (9006, _count, ((socket.SOL_SOCKET, socket.SO_RCVBUF, 4096),)),
    "reset": (9007, _reset, ()),
    "fin-with-data": (9008, _fin_with_data, ()),
    "half-close": (9009, _half_close, ()),
    "at-once": (9010, _at_once, ()),
    "keepalive": (9011, _keepalive, ()),
    "late": (9012, _late, ()),
    "mute": (9013, _mute, ()),
    "empty": (9014, _empty, ()),
    "echo": (9015, _echo, ()),
    "hold": (9016, _hold, ()),
}
PORTS: Final = {name: port for name, (port, _, _) in SERVERS.items()}
#: All that each says; of `echo` and `tiny-mss` behind `echo: ` what was said.
SAID: Final = {
    "drip": DRIP, "megabyte": MEGABYTE, "short": SHORT, "tiny-mss-long": LONG, "reset": LONG,
    "zero-window": b"%d bytes, right\r\n" % STUFFING, "fin-with-data": SHORT, "half-close": SHORT, "at-once": SHORT,
    "keepalive": SHORT, "late": SHORT, "mute": b"", "empty": b"",
}  # fmt: skip


def _serve(listener: socket.socket, handler: Handler) -> None:
    def one(connection: socket.socket) -> None:
        with suppress(OSError):
            handler(connection)
        # `at-once` leaves it to us: read what comes, so that no RST says that nobody did.
        with suppress(OSError):
            while connection.recv(65536):
                pass
        connection.close()

    while True:
        connection, _ = listener.accept()
        connection.settimeout(PATIENCE_S)
        threading.Thread(target=one, args=(connection,), daemon=True).start()


def main() -> None:
    for port, handler, options in SERVERS.values():
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for level, name, value in options:
            listener.setsockopt(level, name, value)
        listener.bind(("0.0.0.0", port))
        listener.listen(1024)
        threading.Thread(target=_serve, args=(listener, handler), daemon=True).start()
    print("ready", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    sys.exit(main())
