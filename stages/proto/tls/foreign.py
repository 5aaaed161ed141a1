"""An answer that is not TLS, named by its first bytes as far as they tell; nothing is guessed."""

from __future__ import annotations

from typing import Final

#: How much of such an answer is told, and waited for.
MAX_TOLD_BYTES: Final = 64

#: How the greetings and errors of well-known protocols begin.
_STARTS: Final = (
    (b"HTTP/", "HTTP"),
    (b"<!DOCTYPE", "HTML"),
    (b"<html", "HTML"),
    (b"<HTML", "HTML"),
    (b"SSH-", "SSH"),
    (b"RFB ", "RFB"),
    (b"+OK", "POP3"),
    (b"* OK", "IMAP"),
    (b"* BYE", "IMAP"),
    (b"220", "SMTP or FTP"),
    (b"421", "SMTP or FTP"),
    (b"554", "SMTP or FTP"),
    (b"200 ", "NNTP"),
    (b"-ERR", "Redis or POP3"),
    (b"<?xml", "XML"),
    (b"<stream:stream", "XMPP"),
)

#: SSL 2 messages from a server: ERROR and SERVER-HELLO (draft-hickman-netscape-ssl, section 1.2).
_SSL2: Final = {0: "an SSLv2 error", 4: "an SSLv2 ServerHello"}


def name_of(head: bytes) -> str:
    """What begins like this: `plain text (HTTP)`, `an SSLv2 ServerHello`, `plain text`, `bytes`."""
    if len(head) >= 3 and head[0] & 0x80 and head[2] in _SSL2:
        length = (head[0] & 0x7F) << 8 | head[1]
        if length >= 3 and (head[2] == 4 or length == 3):
            return _SSL2[head[2]]
    for start, protocol in _STARTS:
        if head.startswith(start):
            return f"plain text ({protocol})"
    if head and all(32 <= byte < 127 or byte in b"\r\n\t" for byte in head):
        return "plain text"
    return "bytes"


def told(head: bytes, because: str) -> str:
    """The sentence for a record's `error`."""
    return f"not TLS but {name_of(head)}: {because}; the answer begins with {head.hex()}"
