"""All recognisers, the most specific first, and what they say together. Pure.

A name is given when a recogniser says YES and all before it say NO; while one before it wants more bytes, nothing is
decided. So the name is the same however the bytes are cut. At the end of a conversation those who wanted more are
passed over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Final

from stages.proto.recognise import (
    amqp,
    bgp,
    dns,
    ftp,
    git,
    http,
    http2,
    imap,
    irc,
    ldap,
    memcached,
    mongodb,
    mqtt,
    mssql,
    mysql,
    nntp,
    pop3,
    postgres,
    rdp,
    redis,
    reply,
    rsync,
    rtsp,
    sieve,
    sip,
    smb,
    smtp,
    socks5,
    ssh,
    telnet,
    tls,
    vnc,
    xmpp,
)
from stages.proto.recognise.verdict import LOOK, Recogniser, Verdict

#: Name of the service -> its recogniser, in the order in which they are asked.
IN_ORDER: Final[Mapping[str, Recogniser]] = {
    # What begins with words of its own.
    "ssh": ssh.recognise,
    "rtsp": rtsp.recognise,
    "sip": sip.recognise,
    "vnc": vnc.recognise,
    "rsync": rsync.recognise,
    "xmpp": xmpp.recognise,
    "imap": imap.recognise,
    "sieve": sieve.recognise,
    "memcached": memcached.recognise,
    "irc": irc.recognise,
    "redis": redis.recognise,
    "pop3": pop3.recognise,
    "nntp": nntp.recognise,
    "smtp": smtp.recognise,
    "ftp": ftp.recognise,
    "smtp-or-ftp": reply.recognise,
    # What begins with bytes of its own.
    "tls": tls.recognise,
    "telnet": telnet.recognise,
    "bgp": bgp.recognise,
    "amqp": amqp.recognise,
    "rdp": rdp.recognise,
    "smb": smb.recognise,
    "mssql": mssql.recognise,
    "mqtt": mqtt.recognise,
    "ldap": ldap.recognise,
    "http2": http2.recognise,
    "mysql": mysql.recognise,
    "postgres": postgres.recognise,
    "git": git.recognise,
    # What could be much else: a length and a few bits, two bytes.
    "mongodb": mongodb.recognise,
    "http": http.recognise,
    "dns": dns.recognise,
    "socks5": socks5.recognise,
}

#: Every service that can be named.
SERVICES: Final = frozenset(IN_ORDER)


@cache
def _candidates(first: int) -> Sequence[tuple[str, Recogniser]]:
    """Those who do not say NO to the first byte alone: two or three, and NO stays NO."""
    return [(name, one) for name, one in IN_ORDER.items() if one(bytes((first,))) is not Verdict.NO]


def name_of(data: bytes, *, ended: bool = False) -> str | Verdict | None:
    """The service that says this; MORE: not yet known; None: none that is known. `ended`: no more bytes will come."""
    head = data[:LOOK]
    if not head:
        return None if ended else Verdict.MORE
    ended = ended or len(data) >= LOOK
    for name, recognise in _candidates(head[0]):
        verdict = recognise(head)
        if verdict is Verdict.YES:
            return name
        if verdict is Verdict.MORE and not ended:
            return Verdict.MORE
    return None
