"""Certificates in PEM (RFC 7468): the blocks of a file, each with the line where it begins. Pure.

Text between the blocks is ignored, as everyone does. Blocks of another kind (keys, requests) are left out and counted.
A block that cannot be read raises, and says which one it is and where: a bundle that lost one root unnoticed would
call everything under it untrusted.
"""

from __future__ import annotations

from binascii import Error, a2b_base64, b2a_base64
from typing import Final

#: Labels of a certificate: the second is OpenSSL's older one.
LABELS: Final = frozenset({"CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE"})

_BEGIN: Final = "-----BEGIN "
_END: Final = "-----END "
_DASHES: Final = "-----"

#: Characters of base64 in a line (RFC 7468 section 2).
_LINE: Final = 64


class PemError(ValueError):
    """A block cannot be read. `block` counts from 1, `line` is that of its BEGIN."""

    def __init__(self, block: int, line: int, problem: str) -> None:
        super().__init__(f"block {block}, which begins in line {line}: {problem}")
        self.block = block
        self.line = line
        self.problem = problem


def certificates(text: str) -> list[tuple[int, bytes]]:
    """(line, DER) of every certificate in the text. Raises PemError."""
    found: list[tuple[int, bytes]] = []
    label = ""
    lines: list[str] = []
    block = began = 0
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if line.startswith(_BEGIN) and line.endswith(_DASHES):
            if label:
                raise PemError(block, began, f"no END before the next BEGIN in line {number}")
            label = line[len(_BEGIN) : -len(_DASHES)]
            block, began, lines = block + 1, number, []
        elif line.startswith(_END) and line.endswith(_DASHES):
            if not label:
                raise PemError(block + 1, number, "an END without its BEGIN")
            if line[len(_END) : -len(_DASHES)] != label:
                raise PemError(block, began, f"BEGIN says {label!r}, and END in line {number} something else")
            if label in LABELS:
                found.append((began, _decode(block, began, lines)))
            label = ""
        elif label and line and ":" not in line:  # headers of the older form (RFC 1421) have a colon
            lines.append(line)
    if label:
        raise PemError(block, began, "no END")
    return found


def _decode(block: int, began: int, lines: list[str]) -> bytes:
    try:
        der = a2b_base64("".join(lines), strict_mode=True)
    except (Error, ValueError) as error:
        raise PemError(block, began, f"not base64: {error}") from None
    if not der:
        raise PemError(block, began, "empty")
    return der


def encode(der: bytes) -> str:
    """One block."""
    text = b2a_base64(der, newline=False).decode("ascii")
    lines = [text[i : i + _LINE] for i in range(0, len(text), _LINE)]
    return "\n".join(["-----BEGIN CERTIFICATE-----", *lines, "-----END CERTIFICATE-----", ""])
