"""Which grab stage takes which port, so that no host is dialled twice. Pure.

Both grab stages read the same log of hits. Unless told otherwise the ports where a TLS ClientHello is the first thing
expected go to tlsgrab and all others to bannergrab; a stage counts and commits what it does not take. Routing is for
shared logs: standard input is taken whole unless `--ports` says otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from stages.core.errors import UsageError

#: Ports where TLS comes first, without STARTTLS (IANA service names ending in "s", and what is common beside them).
TLS_PORTS: Final = frozenset(
    {
        261,  # nsiiops
        443,  # https
        448,  # ddm-ssl
        465,  # submissions
        563,  # nntps
        614,  # sshell
        636,  # ldaps
        684,  # corba-iiop-ssl
        695,  # ieee-mms-ssl
        832,  # netconfsoaphttp
        853,  # domain-s
        989,  # ftps-data
        990,  # ftps
        992,  # telnets
        993,  # imaps
        994,  # ircs
        995,  # pop3s
        2083,  # radsec, and a hosting panel
        2087,  # hosting panel
        2096,  # webmail of a hosting panel
        2376,  # docker-s
        3269,  # msft-gc-ssl
        4433,  # https, alternative
        4443,  # https, alternative
        5061,  # sips
        5223,  # xmpp-client over TLS
        5270,  # xmpp-server over TLS
        5349,  # stuns, turns
        5671,  # amqps
        5986,  # wsmans
        6443,  # kubernetes api server
        6514,  # syslog-tls
        6697,  # ircs-u
        8443,  # https, alternative
        8883,  # secure-mqtt
        9443,  # https, alternative
        10250,  # kubelet
        16993,  # amt-soap-https
        16995,  # amt-redir-tls
    }
)

#: Ports are 16 bits (RFC 9293 3.1, RFC 768).
MAX_PORT: Final = 65_535

#: `--ports` for all of them.
ALL: Final = "*"

_ITEM: Final = re.compile(r"(\d{1,10})(?:-(\d{1,10}))?", re.ASCII).fullmatch


def parse_ports(text: str, place: str = "--ports") -> frozenset[int]:
    """`80,443,8000-8100` or `*` as a set of ports 0 to 65535.

    Raises UsageError naming `place` and the item that is wrong.
    """
    if text.strip() == ALL:
        return frozenset(range(MAX_PORT + 1))
    ports: set[int] = set()
    for part in text.split(","):
        item = part.strip()
        found = _ITEM(item)
        if not found:
            raise UsageError(place, item, "not a port, a range of ports or *")
        first = int(found[1])
        last = int(found[2]) if found[2] else first
        if max(first, last) > MAX_PORT:
            raise UsageError(place, item, f"a port is at most {MAX_PORT}")
        if last < first:
            raise UsageError(place, item, "the range runs backwards")
        ports.update(range(first, last + 1))
    return frozenset(ports)


@dataclass(frozen=True, slots=True)
class Routing:
    """The ports that a stage takes. `ports` None: all of them."""

    ports: frozenset[int] | None = None

    def takes(self, port: int) -> bool:
        return self.ports is None or port in self.ports

    @classmethod
    def everything(cls) -> Routing:
        return cls(None)

    @classmethod
    def of(cls, ports: Iterable[int]) -> Routing:
        return cls(frozenset(ports))

    @classmethod
    def for_tls(cls, setting: str | None, *, shared: bool) -> Routing:
        """tlsgrab's. `setting` is its `--ports`; None: the TLS ports of a `shared` log, all of a pipe."""
        return cls._for(setting, TLS_PORTS, shared=shared)

    @classmethod
    def for_banners(cls, setting: str | None, *, shared: bool) -> Routing:
        """bannergrab's. `setting` None: all but the TLS ports of a `shared` log, all of a pipe."""
        return cls._for(setting, frozenset(range(MAX_PORT + 1)) - TLS_PORTS, shared=shared)

    @classmethod
    def _for(cls, setting: str | None, default: frozenset[int], *, shared: bool) -> Routing:
        if setting is None:
            return cls(default) if shared else cls(None)
        return cls(None) if setting.strip() == ALL else cls(parse_ports(setting))
