"""The record layer (RFC 8446 section 5.1, RFC 5246 section 6.2): bytes in any pieces in, whole records out.

`push` what came, then `pull` until None. A record that breaks the protocol raises only when it is its turn, so that
what stands before it is seen however TCP cut the bytes.
"""

from __future__ import annotations

from typing import Final

from stages.proto.tls.codes import APPLICATION_DATA, CHANGE_CIPHER_SPEC, DECODE_ERROR, RECORD_OVERFLOW

#: A TLSCiphertext fragment is at most 2^14 + 2048 bytes (RFC 5246 section 6.2.3); TLS 1.3 allows less.
MAX_FRAGMENT: Final = 2**14 + 2048

HEADER: Final = 5


class TlsFormatError(ValueError):
    """The peer's bytes are not TLS, or beyond our bounds. `alert` is what to tell it (RFC 8446 section 6.2)."""

    def __init__(self, text: str, alert: int = DECODE_ERROR) -> None:
        super().__init__(text)
        self.alert = alert


class ForeignError(TlsFormatError):
    """No record begins here: the peer speaks something else."""


def record(kind: int, version: int, fragment: bytes) -> bytes:
    """One record."""
    return b"%c%c%c%c%c" % (kind, version >> 8, version & 0xFF, len(fragment) >> 8, len(fragment) & 0xFF) + fragment


class RecordReader:
    """Holds at most one unfinished record and what came with it."""

    __slots__ = ("_at", "_data")

    def __init__(self) -> None:
        self._data = b""
        self._at = 0

    def push(self, data: bytes) -> None:
        at = self._at
        if at:
            held = self._data[at:]
            self._at = 0
            self._data = held + data if held else data
        else:
            self._data += data

    def pull(self) -> bytes | None:
        """The next whole record with its header; None: more is needed.

        Raises ForeignError: no content type; TlsFormatError: no version, or too long. The reader must not be asked
        again after that.
        """
        data = self._data
        at = self._at
        size = len(data) - at
        if size <= 0:
            return None
        if not CHANGE_CIPHER_SPEC <= data[at] <= APPLICATION_DATA:
            raise ForeignError(f"content type {data[at]}")
        if size < HEADER:
            return None
        if data[at + 1] != 3:
            raise ForeignError(f"record version 0x{data[at + 1]:02x}{data[at + 2]:02x}")
        length = data[at + 3] << 8 | data[at + 4]
        if length > MAX_FRAGMENT:
            raise TlsFormatError(f"record of {length} bytes", RECORD_OVERFLOW)
        end = at + HEADER + length
        if end > len(data):
            return None
        self._at = end
        return data[at:end]

    @property
    def rest(self) -> bytes:
        """What was pushed and not pulled."""
        return self._data[self._at :]
