"""A real kernel's TCP with a small server on each port, to be told apart by what it does. Prints `ready`.

port 7001  reads a line, answers `you said: ...`, closes      7002  says `hello\\r\\n`, waits for the peer's end
port 7003  says 1 MiB and closes                              7004  says 50 bytes, each alone
port 7005  reads a line, answers, resets                      7006  says nothing, keeps the connection
port 7007  small receive buffer, reads 200 kB slowly, answers with their SHA-256
"""

from __future__ import annotations

import asyncio
import hashlib
import socket
import struct
import sys

BIG = bytes(i * 31 % 251 for i in range(1 << 20))
LINE = b"GET / HTTP/1.0\r\n\r\n"
MUCH = 200_000


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    said = await reader.readline()
    writer.write(b"you said: " + said)


async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"hello\r\n")
    await reader.read()


async def much(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(BIG)
    await writer.drain()


async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for i in range(50):
        writer.write(bytes([65 + i % 26]))
        await asyncio.sleep(0.002)


async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readline()
    writer.write(b"partial")
    await writer.drain()
    await asyncio.sleep(0.1)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(0.5)  # the window is shut by now
    data = await reader.readexactly(MUCH)
    writer.write(hashlib.sha256(data).hexdigest().encode())


HANDLERS = {7001: answer, 7002: greet, 7003: much, 7004: drip, 7005: reset, 7006: silent, 7007: slow}


async def main() -> None:
    servers = []
    for port, handler in HANDLERS.items():

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, handler: object = handler) -> None:
            try:
                await handler(reader, writer)  # type: ignore[operator]
            except (OSError, asyncio.IncompleteReadError):
                pass
            finally:
                writer.close()

        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if port == 7007:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        if "--mss" in sys.argv:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, int(sys.argv[sys.argv.index("--mss") + 1]))
        sock.bind(("0.0.0.0", port))
        sock.listen(4096)
        servers.append(await asyncio.start_server(serve, sock=sock, limit=2048 if port == 7007 else 1 << 16))
    print("ready", flush=True)
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    asyncio.run(main())
