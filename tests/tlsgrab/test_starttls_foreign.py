"""STARTTLS with servers that others wrote: Dovecot, vsftpd, OpenLDAP, Prosody. Postfix is among the real servers of
`tests/integration`."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from stages.core.outcome import Outcome
from tests.servers.certificates import Identity, identity
from tests.servers.starttls_peers import CHAT, dovecot, prosody, slapd, vsftpd
from tests.servers.talkers import fresh_address
from tests.tlsgrab.test_real_servers import free_port, serving, shown_by_openssl

Grab = Callable[..., Any]
Line = Callable[..., bytes]
Target = tuple[str, int]


@pytest.fixture
def home() -> Iterator[Path]:
    """Not below a directory that only we may enter: the servers change their user."""
    with tempfile.TemporaryDirectory(prefix="starttls-", ignore_cleanup_errors=True) as made:
        path = Path(made)
        path.chmod(0o755)
        yield path


async def check_chain(grab: Grab, line: Line, who: Identity, target: Target, protocol: str, *words: str) -> None:
    """Both modes get what OpenSSL's client gets."""
    assert shown_by_openssl(target, "-starttls", protocol, *words) == who.chain
    for mode in ("certificate", "full"):
        one = (await grab([line(target, CHAT)], starttls=protocol, mode=mode, handshake_timeout=15.0)).of(target, CHAT)
        assert (one.outcome, one.starttls, one.error) == (Outcome.OK, protocol, None), mode
        assert one.certificates == who.chain, mode


async def test_dovecot(tlsgrab: Grab, hit_line: Line, home: Path) -> None:
    who, host = identity(middles=2), fresh_address()
    ports = {name: free_port(host) for name in ("imap", "pop3", "sieve")}
    with serving(dovecot(home, who, host, ports), host, ports["sieve"]):
        for protocol, port in ports.items():
            await check_chain(tlsgrab, hit_line, who, (host, port), protocol)


async def test_vsftpd(tlsgrab: Grab, hit_line: Line, home: Path) -> None:
    who, host = identity(kind="rsa", middles=2), fresh_address()
    port = free_port(host)
    with serving(vsftpd(home, who, host, port), host, port) as target:
        await check_chain(tlsgrab, hit_line, who, target, "ftp")


async def test_openldap(tlsgrab: Grab, hit_line: Line, home: Path) -> None:
    who, host = identity(middles=0), fresh_address()  # it sends its own certificate only
    port = free_port(host)
    with serving(slapd(home, who, host, port), host, port) as target:
        await check_chain(tlsgrab, hit_line, who, target, "ldap")


async def test_prosody(tlsgrab: Grab, hit_line: Line, home: Path) -> None:
    who, host = identity(middles=2), fresh_address()
    port = free_port(host)
    with serving(prosody(home, who, host, port), host, port) as target:
        await check_chain(tlsgrab, hit_line, who, target, "xmpp", "-xmpphost", CHAT)
