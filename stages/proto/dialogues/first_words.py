"""The likely first word of a port, over TCP: what makes its service answer, and changes nothing. Pure.

Each asks for as little as the protocol allows. Where the server speaks first there is no word; a port that is not in
the table is asked by HTTP, which most servers of anything answer with something that can be recognised (Izhikevich et
al., "LZR", USENIX Security 2021).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from stages.proto.dialogues import http
from stages.proto.dialogues.base import Target
from stages.proto.starttls.postgres import SSL_REQUEST


@dataclass(frozen=True, slots=True)
class FirstWord:
    """What to say, and where."""

    name: str
    ports: tuple[int, ...]
    say: Callable[[Target], bytes]  #: b"": nothing, the server speaks first; of `tls` it is made elsewhere


def _words(words: bytes) -> Callable[[Target], bytes]:
    return lambda target: words


def _sip(target: Target) -> bytes:
    call = target.random(8).hex()
    lines = (
        f"OPTIONS sip:{target.host} SIP/2.0",
        f"Via: SIP/2.0/TCP longline.invalid;branch=z9hG4bK{call}",
        f"From: <sip:longline@longline.invalid>;tag={call}",
        f"To: <sip:{target.host}>",
        f"Call-ID: {call}",
        "CSeq: 1 OPTIONS",
        "Max-Forwards: 70",
        "Content-Length: 0",
    )
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode("ascii", "replace")


#: MQTT 3.1.1 CONNECT (section 3.1): clean session, keep alive 60 s, no client id.
MQTT: Final = bytes.fromhex("10 0c 0004 4d515454 04 02 003c 0000")
#: The protocol header of AMQP 0-9-1 (section 4.2.2).
AMQP: Final = b"AMQP\0\0\x09\1"
#: RDP connection request ([MS-RDPBCGR] 2.2.1.1): TLS, CredSSP and its early authorization are offered.
RDP: Final = bytes.fromhex("03000013 0e e0 0000 0000 00 01 00 0800 0b000000")
#: PRELOGIN of TDS ([MS-TDS] 2.2.6.5): version and encryption, which is not wanted.
MSSQL: Final = bytes.fromhex("1201001a 0000 01 00 00000b0006 0100110001 ff 000000000000 02")
#: The server's version, a TXT record of class CHAOS (RFC 4892), with its length (RFC 1035 section 4.2.2).
DNS: Final = bytes.fromhex("001e 4c4c 0100 0001 0000 0000 0000 07") + b"version\4bind" + bytes.fromhex("00 0010 0003")
#: A search of the root entry (RFC 4511 section 4.5, RFC 4512 section 5.1) for its naming contexts.
LDAP: Final = (
    bytes.fromhex("3035020101633004000a01000a0100020100020100010100870b") + b"objectClass"
    + bytes.fromhex("3010040e") + b"namingContexts"
)  # fmt: skip
#: isMaster of MongoDB by OP_QUERY, which all versions answer.
_ISMASTER: Final = b"\x13\0\0\0\x10isMaster\0\1\0\0\0\0"
MONGODB: Final = (
    struct.pack("<4i", 16 + 4 + 11 + 8 + len(_ISMASTER), 1, 0, 2004)
    + struct.pack("<i", 0) + b"admin.$cmd\0" + struct.pack("<ii", 0, -1) + _ISMASTER
)  # fmt: skip
#: Negotiate of SMB 1 with a dialect that leads to SMB 2 ([MS-SMB2] 3.3.5.3.1).
_DIALECTS: Final = b"".join(b"\2%s\0" % name for name in (b"NT LM 0.12", b"SMB 2.002", b"SMB 2.???"))
SMB: Final = (
    struct.pack(">I", 32 + 3 + len(_DIALECTS))
    + b"\xffSMB\x72" + bytes(4) + b"\x18" + struct.pack("<H", 0xC803) + bytes(12) + b"\xff\xff\xff\xfe" + bytes(4)
    + b"\0" + struct.pack("<H", len(_DIALECTS)) + _DIALECTS
)  # fmt: skip
#: SOCKS 5 greeting (RFC 1928 section 3): no authentication.
SOCKS: Final = b"\5\1\0"
XMPP: Final = (
    b"<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'"
    b" version='1.0' to='localhost'>"
)

TLS: Final = "tls"
POSTGRES: Final = "postgres"
NOTHING: Final = b""

TABLE: Final = (
    FirstWord("none", (21, 22, 23, 25, 110, 119, 143, 587, 873, 2121, 2222, 2323, 2525, 3306, 4190, *range(5900, 5910),
                       6667), _words(NOTHING)),
    FirstWord(TLS, (443, 465, 563, 636, 853, 989, 990, 992, 993, 994, 995, 2376, 3269, 4433, 5061, 5223, 5671, 6443,
                    6697, 8443, 8883, 9443, 10443), _words(NOTHING)),
    FirstWord("dns", (53,), _words(DNS)),
    FirstWord("ldap", (389, 3268), _words(LDAP)),
    FirstWord("smb", (445,), _words(SMB)),
    FirstWord("rtsp", (554, 8554), _words(b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n")),
    FirstWord("socks5", (1080,), _words(SOCKS)),
    FirstWord("mssql", (1433,), _words(MSSQL)),
    FirstWord("mqtt", (1883,), _words(MQTT)),
    FirstWord("rdp", (3389,), _words(RDP)),
    FirstWord("sip", (5060,), _sip),
    FirstWord("xmpp", (5222, 5269), _words(XMPP)),
    FirstWord(POSTGRES, (5432,), _words(SSL_REQUEST)),
    FirstWord("amqp", (5672,), _words(AMQP)),
    FirstWord("redis", (6379,), _words(b"PING\r\n")),
    FirstWord("memcached", (11211,), _words(b"version\r\n")),
    FirstWord("mongodb", (27017, 27018, 27019), _words(MONGODB)),
)  # fmt: skip

#: To a port that is not in the table.
OTHER: Final = FirstWord("http", (), http.request)

BY_PORT: Final = {port: word for word in TABLE for port in word.ports}


def first_word(port: int) -> FirstWord:
    return BY_PORT.get(port, OTHER)
