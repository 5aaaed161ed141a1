"""The preludes, by name and by the port on which they are met (IANA service names)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from stages.proto.starttls import ftp, imap, ldap, mysql, nntp, pop3, postgres, sieve, smtp, xmpp
from stages.proto.starttls.prelude import Prelude

#: Server name -> prelude.
Begin = Callable[[bytes | None], Prelude]

BY_NAME: Final[Mapping[str, Begin]] = {
    "smtp": smtp.begin,
    "imap": imap.begin,
    "pop3": pop3.begin,
    "ftp": ftp.begin,
    "ldap": ldap.begin,
    "xmpp": xmpp.begin,
    "postgres": postgres.begin,
    "mysql": mysql.begin,
    "nntp": nntp.begin,
    "sieve": sieve.begin,
}

BY_PORT: Final[Mapping[int, str]] = {
    21: "ftp",
    25: "smtp",
    110: "pop3",
    119: "nntp",
    143: "imap",
    389: "ldap",
    587: "smtp",
    2525: "smtp",
    3268: "ldap",
    3306: "mysql",
    4190: "sieve",
    5222: "xmpp",
    5269: "xmpp",
    5432: "postgres",
}

#: Choose by the port; TLS at once on all others.
AUTO: Final = "auto"


def protocol_of(choice: str | None, port: int) -> str | None:
    """The name of the prelude for a port; None: TLS at once."""
    return BY_PORT.get(port) if choice == AUTO else choice
