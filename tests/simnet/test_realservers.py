"""Debian's servers behind simulated addresses."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from stages.simnet import realservers
from stages.simnet.certificates import make
from stages.simnet.network import Simnet, SimnetError
from stages.simnet.realservers import RealServer, start
from stages.simnet.sorts import Sort
from stages.simnet.spec import Spec
from tests.require import require

PATIENCE = 10.0
ADDRESS = "10.77.66.55"


@pytest.fixture(scope="module")
def wires() -> Iterator[Simnet]:
    require(os.geteuid() == 0, "root: these servers change their user")
    with Simnet(Spec(rules=False, servers=False)) as net:
        yield net


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that every server's own user can reach; pytest's are closed to others."""
    with TemporaryDirectory(prefix="longline-servers-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def connect(net: Simnet, port: int) -> socket.socket:
    with net.inside():
        return socket.create_connection((ADDRESS, port), timeout=PATIENCE)


def ready(net: Simnet, server: RealServer) -> None:
    require(server.installed, f"{server.name} (Debian: {server.package})")
    start(net, server)


def test_nginx(wires: Simnet, place: Path) -> None:
    (identity,), _ = make(datetime.now(UTC), [Sort.SELF_SIGNED])
    ready(wires, realservers.nginx(place, 8081, tls_port=8444, pem=identity.pem))
    with connect(wires, 8081) as sock:
        sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        answer = b"".join(iter(lambda: sock.recv(4096), b""))
    assert b"Server: nginx/" in answer
    assert answer.endswith(f"{ADDRESS}:8081\n".encode())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with connect(wires, 8444) as sock, context.wrap_socket(sock) as session:
        assert session.getpeercert(binary_form=True) == identity.chain[0]


def test_openssh_and_the_machines_run_is_left_alone(wires: Simnet, place: Path) -> None:
    before = sorted(os.listdir("/run"))
    ready(wires, realservers.sshd(place, 2222))
    with connect(wires, 2222) as sock:
        assert sock.recv(100).startswith(b"SSH-2.0-OpenSSH_")
    assert ("sshd" in os.listdir("/run")) == ("sshd" in before)


def test_redis(wires: Simnet, place: Path) -> None:
    ready(wires, realservers.redis(place, 6380))
    with connect(wires, 6380) as sock:
        sock.sendall(b"PING\r\n")
        assert sock.recv(100) == b"+PONG\r\n"


def test_postfix(wires: Simnet, place: Path) -> None:
    require(realservers.find("postfix"), "Postfix (Debian: postfix)")
    ready(wires, realservers.postfix(place, 2525))
    with connect(wires, 2525) as sock:
        assert sock.recv(200) == b"220 mail.simnet.example ESMTP Postfix\r\n"


def test_listening(wires: Simnet) -> None:
    with wires.inside("far"):
        sock = socket.create_server(("0.0.0.0", 0))
    with sock:
        assert sock.getsockname()[1] in realservers.listening(wires)
    assert sock not in realservers.listening(wires)


def test_a_server_that_is_not_installed(wires: Simnet) -> None:
    server = RealServer("Nothing", "no-such-program", "no-such-package", ("no-such-program",), (1,))
    with pytest.raises(SimnetError, match="Debian: no-such-package"):
        start(wires, server)


def test_a_server_that_ends_at_once(wires: Simnet) -> None:
    with pytest.raises(SimnetError, match="status 3"):
        start(wires, RealServer("Short", "sh", "dash", ("sh", "-c", "exit 3"), (1,)))


def test_a_server_that_never_listens(wires: Simnet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(realservers, "READY_SECONDS", 0.1)
    with pytest.raises(SimnetError, match="does not listen"):
        start(wires, RealServer("Lazy", "sleep", "coreutils", ("sleep", "600"), (1,)))
