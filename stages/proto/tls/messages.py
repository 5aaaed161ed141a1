"""Handshake messages (RFC 8446 section 4): fragments of records in, whole messages out.

A message may be cut over any number of records, and one record may hold many. The common case, whole messages in one
record, copies nothing but the messages.
"""

from __future__ import annotations

from typing import Final

from stages.proto.tls.records import TlsFormatError

HEADER: Final = 4

#: Bytes of one handshake message: chains of 256 KiB are read (real ones are some KiB, the longest seen some tens),
#: with room for the lengths and extensions around them. More is an attack or an error.
MAX_CHAIN_BYTES: Final = 256 * 1024
MAX_MESSAGE: Final = MAX_CHAIN_BYTES + 16 * 1024


class MessageReader:
    """`push` a fragment, then `pull` until None."""

    __slots__ = ("_at", "_data", "_held")

    def __init__(self) -> None:
        self._data: bytes | bytearray = b""
        self._at = 0
        self._held: bytearray | None = None  # an unfinished message grows here without being copied each time

    def push(self, fragment: bytes) -> None:
        if self._at == len(self._data):
            self._data = fragment
            self._held = None
        elif self._held is None:
            self._data = self._held = bytearray(self._data[self._at :]) + fragment
        else:
            del self._held[: self._at]
            self._held += fragment
        self._at = 0

    def pull(self) -> bytes | None:
        """The next whole message with its header; None: more is needed. Raises TlsFormatError: too long."""
        data = self._data
        at = self._at
        if len(data) - at < HEADER:
            return None
        length = data[at + 1] << 16 | data[at + 2] << 8 | data[at + 3]
        if length > MAX_MESSAGE:
            raise TlsFormatError(f"handshake message of {length} bytes, at most {MAX_MESSAGE}")
        end = at + HEADER + length
        if end > len(data):
            return None
        self._at = end
        return bytes(data[at:end])

    @property
    def empty(self) -> bool:
        """Nothing is left over."""
        return self._at == len(self._data)


def whole(fragment: bytes) -> bool:
    """Whether it is one message and nothing else, as most libraries put them into records."""
    size = len(fragment) - HEADER
    return 0 <= size <= MAX_MESSAGE and size == fragment[1] << 16 | fragment[2] << 8 | fragment[3]


def message(kind: int, body: bytes) -> bytes:
    """One message."""
    return b"%c" % kind + len(body).to_bytes(3, "big") + body
