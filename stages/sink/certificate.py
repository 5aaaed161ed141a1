"""What is read out of a certificate's DER, and the memory of which certificates are stored.

A certificate is kept whatever it is: what cannot be read is missing, `parse_status` is `fail` and `error` says why; the
DER stands beside it, so that it can be read again by a better program. `Known` remembers which certificates are
stored already, so that each is parsed once: a scan meets the same intermediate a million times.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any, Final

from stages.proto.x509.certificate import document, read

#: Certificates remembered as stored: some 15 MB.
KNOWN_CERTIFICATES: Final = 100_000


def parse(der: bytes) -> dict[str, Any]:
    """The fields of a certificate (`stages.proto.x509.certificate.document`). Never raises for any bytes."""
    return document(read(der))


class Known:
    """The certificates stored of late, by SHA-256; the least recently seen are forgotten first."""

    def __init__(self, size: int = KNOWN_CERTIFICATES, read: Callable[[bytes], dict[str, Any]] = parse) -> None:
        self._size = size
        self._read = read
        self._stored: OrderedDict[str, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._stored)

    def fields(self, digest: str, der: bytes) -> dict[str, Any] | None:
        """What was read out of it, or None if it is known to be stored."""
        if digest in self._stored:
            self._stored.move_to_end(digest)
            return None
        return self._read(der)

    def stored(self, digests: Iterable[str]) -> None:
        """These are in the store now."""
        for digest in digests:
            self._stored[digest] = None
            self._stored.move_to_end(digest)
        while len(self._stored) > self._size:
            self._stored.popitem(last=False)

    def forget(self, digests: Iterable[str]) -> None:
        """These are not in the store (any more)."""
        for digest in digests:
            self._stored.pop(digest, None)
