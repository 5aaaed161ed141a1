"""ServerHello and HelloRetryRequest (RFC 8446 4.1.3 and 4.1.4, RFC 5246 7.4.1.3): all of it is kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from stages.proto.tls.codes import (
    ALPN,
    COOKIE,
    HELLO_RETRY_REQUEST,
    KEY_SHARE,
    SUPPORTED_VERSIONS,
)
from stages.proto.tls.names import suite_name, version_name
from stages.proto.tls.records import TlsFormatError

#: Bytes behind the session id of a ServerHello without a key share; with one it is longer.
_PLAIN: Final = 40
#: Different ones remembered: servers give some hundreds.
_REMEMBERED: Final = 1024


@dataclass(slots=True)
class ServerHello:
    """`version` is what was negotiated, `legacy_version` what stands in the field."""

    legacy_version: int
    version: int
    random: bytes
    session_id: bytes
    suite: int
    compression: int
    extensions: tuple[tuple[int, bytes], ...]  #: in the server's order
    raw: bytes = b""  #: the body of the message, every byte

    @property
    def retry(self) -> bool:
        """A HelloRetryRequest."""
        return self.random == HELLO_RETRY_REQUEST

    def extension(self, kind: int) -> bytes | None:
        """The data of the first extension of that kind."""
        for have, data in self.extensions:
            if have == kind:
                return data
        return None

    @property
    def share(self) -> tuple[int, bytes] | None:
        """(group, public value) of the key share; the value is empty in a HelloRetryRequest. Raises TlsFormatError."""
        data = self.extension(KEY_SHARE)
        if data is None:
            return None
        if self.retry:
            if len(data) != 2:
                raise TlsFormatError("key share of a HelloRetryRequest")
            return int.from_bytes(data, "big"), b""
        if len(data) < 4 or data[2] << 8 | data[3] != len(data) - 4:
            raise TlsFormatError("length of the key share")
        return data[0] << 8 | data[1], data[4:]

    @property
    def cookie(self) -> bytes:
        """What a HelloRetryRequest wants to see again; b"": nothing. Raises TlsFormatError."""
        data = self.extension(COOKIE)
        if data is None:
            return b""
        if len(data) < 2 or int.from_bytes(data[:2], "big") != len(data) - 2:
            raise TlsFormatError("length of the cookie")
        return data[2:]

    @property
    def protocol(self) -> bytes | None:
        """The protocol chosen by ALPN, where it stands in the clear."""
        data = self.extension(ALPN)
        return None if data is None else chosen_protocol(data)

    def facts(self) -> dict[str, Any]:
        """As it goes into the record: numbers, names, hex."""
        return {
            "legacy_version": self.legacy_version,
            "version": version_name(self.version),
            "random": self.random.hex(),
            "session_id": self.session_id.hex(),
            "cipher_suite": self.suite,
            "cipher_suite_name": suite_name(self.suite),
            "compression": self.compression,
            "extensions": [kind for kind, _ in self.extensions],
            "raw": self.raw.hex(),
        }


def chosen_protocol(data: bytes) -> bytes | None:
    """The one name in the ALPN extension of a server (RFC 7301 section 3.1); None where it is not that."""
    if len(data) < 3 or data[2] != len(data) - 3:
        return None
    return data[3:]


def extensions_of(data: bytes, at: int, end: int, where: str) -> Iterator[tuple[int, bytes]]:
    """(kind, data) of each extension between two offsets, in order. Raises TlsFormatError naming the place."""
    while at < end:
        if at + 4 > end:
            raise TlsFormatError(f"{where}: an extension ends inside its header")
        kind = data[at] << 8 | data[at + 1]
        start = at + 4
        at = start + (data[at + 2] << 8 | data[at + 3])
        if at > end:
            raise TlsFormatError(f"{where}: extension {kind} is longer than the extensions")
        yield kind, data[start:at]


def parse_server_hello(body: bytes) -> ServerHello:
    """The body of a ServerHello message. Raises TlsFormatError."""
    if len(body) < 38:
        raise TlsFormatError(f"ServerHello of {len(body)} bytes")
    legacy_version = body[0] << 8 | body[1]
    id_end = 35 + body[34]
    if len(body) < id_end + 3:
        raise TlsFormatError("ServerHello ends inside its session id")
    # What follows the session id is the same for all servers of a kind, but where it holds the key of this connection.
    tail = body[id_end:]
    version, suite, compression, extensions = (_remembered if len(tail) <= _PLAIN else _parse_tail)(tail)
    return ServerHello(
        legacy_version,
        legacy_version if version is None else version,
        body[2:34],
        body[35:id_end],
        suite,
        compression,
        extensions,
        body,
    )


def _parse_tail(tail: bytes) -> tuple[int | None, int, int, tuple[tuple[int, bytes], ...]]:
    """(version of the extension for it, suite, compression, extensions) from the suite on."""
    extensions: tuple[tuple[int, bytes], ...] = ()
    version = None
    if len(tail) >= 5:
        end = 5 + (tail[3] << 8 | tail[4])
        if end > len(tail):
            raise TlsFormatError("ServerHello ends inside its extensions")
        extensions = tuple(extensions_of(tail, 5, end, "ServerHello"))
        for kind, data in extensions:
            if kind == SUPPORTED_VERSIONS and len(data) == 2:
                version = data[0] << 8 | data[1]
                break
    return version, tail[0] << 8 | tail[1], tail[2], extensions


_remembered: Final = lru_cache(_REMEMBERED)(_parse_tail)
