"""What a prelude is."""

from __future__ import annotations

from typing import Final, Protocol

#: Bytes of a server that are read before TLS: greetings and lists of capabilities are one or two KiB.
MAX_PRELUDE_BYTES: Final = 16 * 1024

#: How much of an answer that does not lead to TLS is told.
MAX_TOLD_BYTES: Final = 64


class StarttlsError(Exception):
    """TLS does not begin here; the text says why, with the first bytes of the answer."""

    def __init__(self, why: str, answer: bytes = b"") -> None:
        super().__init__(f"{why}: {answer[:MAX_TOLD_BYTES].hex()}" if answer else why)


class Prelude(Protocol):
    """One connection up to the ClientHello."""

    ready: bool  #: the next bytes are TLS

    def opening(self) -> bytes:
        """What we say first; b"": the server does."""

    def receive(self, data: bytes) -> bytes:
        """Bytes of the server: what to say. Raises StarttlsError. When `ready` is set after it, what is returned is
        said first, and then TLS begins."""

    @property
    def rest(self) -> bytes:
        """What came behind the server's last word."""
