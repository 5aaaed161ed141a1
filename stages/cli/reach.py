"""LONGLINE_CONFINE for brokers and databases; for targets `stages.net.confine` is asked at every dial.

The clients of Kafka and MongoDB open their connections themselves, so the guard stands where their URLs are read: with
the variable set, each host named there must be loopback, or this must be one of simnet's namespaces. Names mean what
hosts(5) says, as a question to a name server would leave this host too.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import unquote

from stages.core.errors import Confined
from stages.core.resolving import by_hosts_file
from stages.net import confine


def check(*urls: str) -> None:
    """Raise Confined if a URL of a log or store names a host that may not be reached."""
    if not confine.confined():
        return
    for url in urls:
        for host in hosts_of(url):
            for address in _addresses(host):
                try:
                    confine.check_address(address)
                except confine.ConfinedError as error:
                    raise Confined(str(error.strerror)) from None


def hosts_of(url: str) -> Iterator[str]:
    """The hosts of `kafka://HOST:PORT[,HOST:PORT]` or `mongodb://[USER:PASSWORD@]HOST[:PORT][,...][/DB]`; none of a
    pipe or a file."""
    scheme, found, rest = url.partition("://")
    if not found or scheme in ("sqlite", "memory"):
        return
    places = rest.partition("/")[0].partition("?")[0].rpartition("@")[2]
    for place in unquote(places).split(","):
        host = place.strip()
        if host.startswith("["):  # an IPv6 address, RFC 3986 3.2.2
            host = host[1:].partition("]")[0]
        elif host.count(":") == 1:
            host = host.partition(":")[0]
        if host:
            yield host


def _addresses(host: str) -> tuple[str, ...]:
    """What `host` stands for without asking anybody; itself where that cannot be known."""
    try:
        return tuple(by_hosts_file(host))
    except OSError:
        return (host,)
