"""Bytes as printable text in masscan's manner: what is not printable, or means something to a reader, is escaped. Pure.

lines, XML    \\x0d    JSON    \\u000d
"""

from __future__ import annotations

import re
from typing import Final

_SPECIAL: Final = frozenset(b"<>&\\\"'")
_PLAIN: Final = frozenset(range(0x20, 0x7F)) - _SPECIAL
_HEX: Final = tuple(chr(byte) if byte in _PLAIN else f"\\x{byte:02x}" for byte in range(256))
_JSON: Final = tuple(chr(byte) if byte in _PLAIN else f"\\u{byte:04x}" for byte in range(256))
_ESCAPED: Final = re.compile(r"\\x([0-9A-Fa-f]{2})")


def escaped(data: bytes) -> str:
    """With `\\xNN`."""
    return "".join([_HEX[byte] for byte in data])


def unescaped(text: str) -> bytes:
    """The inverse; what is above a byte, which masscan never writes, is UTF-8."""
    out, at = b"", 0
    for match in _ESCAPED.finditer(text):
        out += text[at : match.start()].encode() + bytes([int(match[1], 16)])
        at = match.end()
    return out + text[at:].encode()


def json_escaped(data: bytes) -> str:
    """With `\\u00NN`: each byte is the character of its number."""
    return "".join([_JSON[byte] for byte in data])


def json_unescaped(text: str) -> bytes:
    """The inverse, of text that a JSON reader has decoded."""
    return b"".join([bytes([ord(char)]) if ord(char) < 256 else char.encode("utf-8", "replace") for char in text])
