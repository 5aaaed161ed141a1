"""An ordinary connection that lives on: `python -m tests.servers.session ADDRESS PORT`, to a server that echoes.

Prints `ready` once it is connected; then for each line of its input sends it, waits for the echo and prints it. End of
input: the end. A connection that breaks is an exit code.
"""

from __future__ import annotations

import socket
import sys


def main() -> int:
    with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=60) as sock, sock.makefile("rb") as back:
        print("ready", flush=True)
        for line in sys.stdin:
            sock.sendall(line.encode())
            echoed = back.readline()
            if echoed != line.encode():
                return 1
            print(line.strip(), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
