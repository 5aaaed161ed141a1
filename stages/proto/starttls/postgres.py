"""PostgreSQL: SSLRequest, and one byte as the answer (PostgreSQL documentation, "Message Formats")."""

from __future__ import annotations

from typing import Final

from stages.proto.starttls.prelude import StarttlsError

#: Length 8, request code 1234.5679.
SSL_REQUEST: Final = bytes.fromhex("0000000804d2162f")


class PostgresPrelude:
    """S: go on. N: no. E: an error message of a server that does not know the request."""

    __slots__ = ("_rest", "ready")

    def __init__(self) -> None:
        self._rest = b""
        self.ready = False

    def opening(self) -> bytes:
        return SSL_REQUEST

    def receive(self, data: bytes) -> bytes:
        if data[:1] == b"N":
            raise StarttlsError("TLS is not offered", data)
        if data[:1] != b"S":
            raise StarttlsError("no answer to SSLRequest", data)
        self._rest = data[1:]
        self.ready = True
        return b""

    @property
    def rest(self) -> bytes:
        return self._rest


def begin(name: bytes | None) -> PostgresPrelude:
    """The prelude of one connection."""
    return PostgresPrelude()
