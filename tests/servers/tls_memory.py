"""OpenSSL as a TLS server without a socket, and a way to let a dialogue talk to it in pieces of any size."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Protocol

VERSIONS = {
    "TLSv1.0": ssl.TLSVersion.TLSv1,
    "TLSv1.1": ssl.TLSVersion.TLSv1_1,
    "TLSv1.2": ssl.TLSVersion.TLSv1_2,
    "TLSv1.3": ssl.TLSVersion.TLSv1_3,
}


class Talk(Protocol):
    """A dialogue: `FullHandshake`, `Client`."""

    def opening(self) -> bytes: ...

    def receive(self, data: bytes) -> bytes | None: ...

    def farewell(self) -> bytes: ...


class Server:
    """Python's ssl as the other side."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_side=True)
        self.shaken = False
        self.error: ssl.SSLError | None = None

    def __call__(self, data: bytes) -> bytes:
        self.incoming.write(data)
        try:
            if not self.shaken:
                self.tls.do_handshake()
                self.shaken = True
            self.tls.read(1)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            self.error = error
        return self.outgoing.read()


def talk(handshake: Talk, server: Callable[[bytes], bytes], size: int | None = None) -> bool:
    """Let them talk, the server's bytes in pieces of `size`; True when the handshake says it is over."""
    said = handshake.opening()
    while said:
        answer, said = server(said), b""
        step = size or len(answer)
        for at in range(0, len(answer), step or 1):
            more = handshake.receive(answer[at : at + step])
            if more is None:
                server(handshake.farewell())
                return True
            said += more
    return False
