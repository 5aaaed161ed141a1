"""Servers that begin TLS inside ten protocols, as their RFCs and manuals write it; TLS itself is OpenSSL's.

What is read is matched as a whole, and nothing else is understood: a client that says what the protocol does not have
gets no answer. `openssl s_client -starttls` is content with each of them.
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.servers.talkers import Handler

#: Nothing that is said before TLS is longer.
MAX_SAID = 4_096

#: Protocol::HandshakeV10; of the capabilities SSL, PROTOCOL_41 and SECURE_CONNECTION, and PLUGIN_AUTH.
_MYSQL = (
    b"\x0a8.0.0\0" + b"\x01\0\0\0" + b"saltsalt" + b"\0" + (0x8A00).to_bytes(2, "little") + b"\x21\x02\0"
    + (0x0008).to_bytes(2, "little") + b"\x15" + bytes(10) + b"saltsaltsalt\0" + b"mysql_native_password\0"
)  # fmt: skip

#: The second byte of the client's capabilities with CLIENT_SSL (0x0800) among them.
_SSL_BIT = b"[" + b"".join(b"\\x%02x" % byte for byte in range(256) if byte & 8) + b"]"


@dataclass(frozen=True)
class Dialogue:
    """What the server says first, what it answers before TLS is asked for, and how it is asked for and granted."""

    greeting: bytes
    ask: bytes  #: pattern
    grant: bytes  #: template
    before: Mapping[bytes, bytes] = field(default_factory=dict)


DIALOGUES: Mapping[str, Dialogue] = {
    "smtp": Dialogue(
        b"220-mail.test\r\n220 ESMTP\r\n", rb"(?i)STARTTLS\r\n", b"220 go\r\n",
        {rb"(?i)EHLO \S+\r\n": b"250-mail.test\r\n250-SIZE 1000\r\n250 STARTTLS\r\n"},
    ),
    "imap": Dialogue(
        b"* OK IMAP4rev1\r\n", rb"(?i)(\S+) STARTTLS\r\n", rb"\1 OK go" + b"\r\n",
        {rb"(?i)(\S+) CAPABILITY\r\n": b"* CAPABILITY IMAP4rev1 STARTTLS\r\n" + rb"\1 OK" + b"\r\n"},
    ),
    "pop3": Dialogue(
        b"+OK POP3\r\n", rb"(?i)STLS\r\n", b"+OK go\r\n", {rb"(?i)CAPA\r\n": b"+OK\r\nUSER\r\nSTLS\r\n.\r\n"}
    ),
    "ftp": Dialogue(
        b"220-Hello\r\n there\r\n220 ready\r\n", rb"(?i)AUTH TLS\r\n", b"234 go\r\n",
        {rb"(?i)FEAT\r\n": b"211-Features:\r\n AUTH TLS\r\n211 End\r\n"},
    ),
    "ldap": Dialogue(  # an extended request with the object identifier of StartTLS (RFC 4511 section 4.14)
        b"", rb"(?s)\x30.\x02\x01\x01\x77.\x80\x161\.3\.6\.1\.4\.1\.1466\.20037",
        b"\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00",
    ),
    "xmpp": Dialogue(
        b"", rb"""<starttls\s+xmlns=["']urn:ietf:params:xml:ns:xmpp-tls["']\s*(/>|></starttls>)""",
        b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
        {
            rb"(?s)(<\?xml[^>]*\?>\s*)?<stream:stream[^>]*>": b"<?xml version='1.0'?><stream:stream"
            b" xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' id='1' from='a.test'"
            b" version='1.0'><stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>"
            b"</stream:features>"
        },
    ),
    "postgres": Dialogue(b"", rb"\0\0\0\x08\x04\xd2\x16\x2f", b"S"),
    "mysql": Dialogue(
        len(_MYSQL).to_bytes(3, "little") + b"\0" + _MYSQL, rb"(?s)\x20\0\0\x01." + _SSL_BIT + b".{30}", b""
    ),
    "nntp": Dialogue(
        b"200 news\r\n", rb"(?i)STARTTLS\r\n", b"382 go\r\n",
        {rb"(?i)CAPABILITIES\r\n": b"101 list:\r\nVERSION 2\r\nSTARTTLS\r\n.\r\n"},
    ),
    "sieve": Dialogue(
        b'"IMPLEMENTATION" "test"\r\n"STARTTLS"\r\nOK "ready"\r\n', rb"(?i)STARTTLS\r\n", b'OK "go"\r\n',
        {rb"(?i)CAPABILITY\r\n": b'"IMPLEMENTATION" "test"\r\n"STARTTLS"\r\nOK\r\n'},
    ),
}  # fmt: skip


def starttls(protocol: str, context: ssl.SSLContext) -> Handler:
    """One conversation, then a handshake, then nothing until the client goes."""
    dialogue = DIALOGUES[protocol]

    def handler(connection: socket.socket) -> None:
        connection.sendall(dialogue.greeting)
        said = b""
        while (asked := re.fullmatch(dialogue.ask, said)) is None:
            for pattern, answer in dialogue.before.items():
                if (match := re.fullmatch(pattern, said)) is not None:
                    connection.sendall(match.expand(answer))
                    said = b""
            more = connection.recv(1)  # one at a time: what follows is for TLS
            if not more or len(said) > MAX_SAID:
                return
            said += more
        connection.sendall(asked.expand(dialogue.grant) if asked.groups() else dialogue.grant)
        with context.wrap_socket(connection, server_side=True) as secured:
            secured.recv(1)

    return handler
