"""What a dialogue may know of a service: a closed list of keys, and bounds on what stands there. Pure.

All that comes from the peer is text without control characters, cut by its bytes; so the facts of one record are some
50 KiB of JSON at the most, whatever a hostile server says, and leave room for its bytes in a record.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

Facts = dict[str, Any]

#: Key -> what it says. A dialogue uses no others.
KEYS: Final = {
    "error": "what broke the protocol, in words",
    "said_first": "true: the server spoke before it was spoken to",
    "asked": "the first word that it was asked with",
    "greeting": "first line of what it said",
    "version": "of the protocol or of the server, as it names it",
    # HTTP
    "status": "status code",
    "server": "field Server",
    "location": "field Location",
    "content_type": "field Content-Type",
    "body": "bytes of the body that came",
    "whole": "true: the answer came to its end",
    # SSH
    "id": "identification line",
    "kex": "key exchange that was agreed on",
    "kex_algorithms": "what the server offers, in its order",
    "host_key_algorithms": "the same for host keys",
    "ciphers": "the same from server to client",
    "macs": "the same from server to client",
    "compression": "the same from server to client",
    "key_type": "algorithm of the host key",
    "key": "host key blob, base64",
    "fingerprint": "SHA-256 of the blob, hex",
    "disconnect": "why the server went, in its words",
    # SMTP
    "code": "of the greeting",
    "ehlo": "code of the answer to EHLO",
    "capabilities": "lines of the answer to EHLO but the first",
    # TLS
    "cipher_suite": "by name",
    "alpn": "protocol chosen by ALPN",
    "alert": "name of the alert",
    "chain": "SHA-256 of each certificate, leaf first",
    # PostgreSQL
    "ssl": "answer to SSLRequest: S or N",
}

#: Bytes of one text in UTF-8: the line of a greeting, a field.
TEXT: Final = 512
#: Names in a list, and bytes of one: OpenSSH offers a dozen, the oddest devices some forty.
NAMES: Final = 48
NAME: Final = 64
#: Lines of capabilities are longer than names, and fewer.
LINES: Final = 48
LINE: Final = 128


def text(data: bytes, most: int = TEXT) -> str:
    """Bytes as text of at most so many bytes: UTF-8 where it is some, what cannot be printed as `\\xNN`."""
    shown = data[: most + 4].decode("utf-8", "backslashreplace")
    if not shown.isprintable():
        shown = "".join(one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in shown)
    if shown.isascii():
        return shown[:most]
    return shown.encode()[:most].decode("utf-8", "ignore")


def texts(items: Iterable[bytes], count: int = NAMES, most: int = NAME) -> list[str]:
    """The first `count` of them."""
    return [text(item, most) for _, item in zip(range(count), items, strict=False)]
