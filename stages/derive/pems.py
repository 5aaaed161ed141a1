"""Certificates out of files: PEM, DER, or JSON Lines with base64 as zcertificate, zgrab2 and `longline export` write.

The form is seen from the first bytes unless it is said. Every error names the file and the block or line.
"""

from __future__ import annotations

from binascii import Error, a2b_base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import orjson

from stages.core.errors import ListError, UsageError
from stages.proto.x509.pem import PemError, certificates

FORMS: Final = ("pem", "der", "json")

#: Bytes of a file that is read whole: one of PEM or DER, or one line of JSON. The bundle of all roots that anybody
#: trusts has less than a megabyte.
MAX_FILE_BYTES: Final = 256 * 2**20

#: Where the base64 of a certificate stands in one JSON object, in the order of trying.
KEYS: Final = ("raw", "der", "certificate", "pem")


def form_of(head: bytes) -> str:
    """The form that these first bytes are of."""
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if text[:1] in (b"{", b'"'):
        return "json"
    if text[:1] == b"\x30" and head[:1] == b"\x30":
        return "der"
    return "pem"


def read_file(path: str, form: str | None = None) -> Iterator[tuple[str, bytes]]:
    """(place, DER) of every certificate in the file. Raises UsageError and ListError, which name it."""
    try:
        with Path(path).open("rb") as file:
            head = file.read(64)
            chosen = form or form_of(head)
            file.seek(0)
            if chosen == "json":
                for number, line in enumerate(file, 1):
                    if line.strip():
                        yield f"{path}:{number}", _of_json(path, number, line)
                return
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise UsageError(path, None, error.strerror or str(error)) from None
    if len(data) > MAX_FILE_BYTES:
        raise UsageError(path, None, f"more than {MAX_FILE_BYTES} bytes")
    yield from read_bytes(path, data, chosen)


def read_bytes(path: str, data: bytes, form: str) -> Iterator[tuple[str, bytes]]:
    """The same of what was read already, `pem` or `der`."""
    if form == "der":
        if not data:
            raise UsageError(path, None, "empty")
        yield path, data
        return
    try:
        blocks = certificates(data.decode("latin-1"))
    except PemError as error:
        raise UsageError(f"{path}:{error.line}", None, f"block {error.block}: {error.problem}") from None
    if not blocks:
        raise UsageError(path, None, "no certificate in it")
    for line, der in blocks:
        yield f"{path}:{line}", der


def _of_json(path: str, number: int, line: bytes) -> bytes:
    try:
        value: Any = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise ListError(path, number, _short(line), f"not JSON: {error}") from None
    if isinstance(value, dict):
        value = next((value[key] for key in KEYS if isinstance(value.get(key), str)), None)
    if not isinstance(value, str):
        raise ListError(path, number, _short(line), f"no base64 under any of {', '.join(KEYS)}")
    try:
        der = a2b_base64(value, strict_mode=True)
    except (Error, ValueError) as error:
        raise ListError(path, number, _short(line), f"not base64: {error}") from None
    if not der:
        raise ListError(path, number, _short(line), "empty")
    return der


def _short(line: bytes) -> str:
    return line[:60].decode("latin-1").strip()
