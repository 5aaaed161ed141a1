"""Host names to addresses, for lists and targets: getaddrinfo(3), or only the hosts file where nothing may be sent.

With LONGLINE_CONFINE set a question to a name server would leave this host, so that only what hosts(5) says counts.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from stages.core.netset import Resolve

HOSTS: Final = Path("/etc/hosts")

#: Set to anything but nothing and `0`: nothing leaves this host.
CONFINE: Final = "LONGLINE_CONFINE"


def resolver(environ: Mapping[str, str] = os.environ, hosts: Path = HOSTS) -> Resolve:
    """The resolver that this process may use. It blocks: call it in a thread where a loop turns."""
    if environ.get(CONFINE, "") in ("", "0"):
        return by_system
    return lambda name: by_hosts_file(name, hosts)


def by_system(name: str) -> Sequence[str]:
    """All addresses of `name`, each once. Raises OSError (socket.gaierror) when there are none."""
    answers = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(address[0]).partition("%")[0] for *_, address in answers))


def by_hosts_file(name: str, hosts: Path = HOSTS) -> Sequence[str]:
    """The addresses that hosts(5) gives `name`. Raises OSError when there are none."""
    found: dict[str, None] = {}
    for line in hosts.read_text(encoding="utf-8", errors="replace").splitlines():
        address, *names = line.partition("#")[0].split() or [""]
        if name.lower() in (alias.lower() for alias in names):
            found[address.partition("%")[0]] = None
    if not found:
        raise OSError(f"{CONFINE} is set and {hosts} does not name it")
    return tuple(found)
