"""When the certificates end by which we ourselves go to Kafka and MongoDB: `longline_<whose>_certificate_expiry_...`.

The file is read again when it changed, as a renewal replaces it under a running program.
"""

from __future__ import annotations

import os
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from stages.core.metrics import Metrics

#: What the gauge says of a file that cannot be read: it is over.
UNREADABLE: Final = 0.0


class Expiry:
    """The end of the first certificate of a PEM file, in seconds since the epoch."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._seen: tuple[int, int] | None = None
        self._end = UNREADABLE

    def read(self) -> float:
        """0 where the file is missing or holds no certificate."""
        try:
            status = os.stat(self._file)
            seen = status.st_mtime_ns, status.st_size
            if seen != self._seen:
                self._end, self._seen = _end_of(self._file), seen
        except (OSError, ValueError):
            self._end, self._seen = UNREADABLE, None
        return self._end


def _end_of(file: str) -> float:
    from cryptography.x509 import load_pem_x509_certificate

    with open(file, "rb") as pem:
        return load_pem_x509_certificate(pem.read()).not_valid_after_utc.timestamp()


def named_in(url: str) -> str | None:
    """The file of the client's certificate that a `mongodb:` URL names (`tlsCertificateKeyFile`), None without one."""
    options = {key.lower(): value for key, value in parse_qsl(urlsplit(url).query)}
    return options.get("tlscertificatekeyfile") if url.startswith("mongodb") else None


def watch(metrics: Metrics, whose: str, file: str | None) -> None:
    """Tell of `file`, if there is one. `whose`: `kafka` or `mongodb`."""
    if file is not None:
        name = f"longline_{whose}_client_certificate_expiry_timestamp_seconds"
        metrics.gauge(name, "When the certificate ends by which we are known there", Expiry(file).read)
