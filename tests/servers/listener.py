"""Listens on TCP ports of all addresses and accepts nothing: the kernel alone answers. Prints `ready`."""

from __future__ import annotations

import signal
import socket
import sys


def main() -> None:
    sockets = []
    for port in sys.argv[1:]:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("0.0.0.0", int(port)))
        sock.listen(65535)
        sockets.append(sock)
    print("ready", flush=True)
    signal.pause()


if __name__ == "__main__":
    main()
