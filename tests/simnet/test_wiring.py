"""Links, addresses, routes and settings as they stand in the two namespaces."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from stages.net.confine import MARKER
from stages.simnet import wiring
from stages.simnet.namespaces import NamespaceError
from stages.simnet.network import Side, Simnet
from stages.simnet.wiring import WiringError


@pytest.mark.parametrize(("side", "link"), [("near", wiring.NEAR_LINK), ("far", wiring.FAR_LINK)])
def test_links(simnet_root: Simnet, side: Side, link: str) -> None:
    with simnet_root.inside(side):
        assert {name for _, name in socket.if_nameindex()} == {"lo", MARKER, link}


def test_nothing_stands_outside(simnet_small: Simnet) -> None:
    names = {name for _, name in socket.if_nameindex()}
    assert not names & {MARKER, wiring.NEAR_LINK, wiring.FAR_LINK}


@pytest.mark.parametrize("ip", ["10.0.0.1", "10.255.255.255", "198.18.0.2", "2001:db8:77::5"])
def test_the_far_side_answers_for_every_address(simnet_root: Simnet, ip: str) -> None:
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    with simnet_root.inside("far"):
        server = socket.socket(family)
    with simnet_root.inside("near"):
        client = socket.socket(family)
    with server, client:
        server.bind(("::" if ":" in ip else "0.0.0.0", 0))
        server.listen()
        client.settimeout(5)
        client.connect((ip, server.getsockname()[1]))
        connection, peer = server.accept()
        with connection:
            assert ip_address(connection.getsockname()[0]) == ip_address(ip)
            assert peer[0] in (wiring.NEAR_ADDRESS, wiring.NEAR_ADDRESS_6)


def test_a_server_that_hung_up_first_has_forgotten(simnet_root: Simnet) -> None:
    """Nobody is in TIME-WAIT: a probe from the same port, whatever its sequence number, gets its SYN-ACK."""
    with simnet_root.inside("far"):
        server = socket.create_server(("0.0.0.0", 0))
    with simnet_root.inside("near"):
        client = socket.socket()
    with server, client:
        client.settimeout(5)
        client.connect(("10.0.0.9", server.getsockname()[1]))
        connection, _ = server.accept()
        connection.close()
        assert client.recv(1) == b""
        wanted = client.getsockname()[1]
    listed = simnet_root.far_run(["ss", "-Htan", "dport", "=", f":{wanted}"], stdout=subprocess.PIPE, text=True)
    assert "TIME-WAIT" not in listed.communicate()[0]


def test_there_is_no_way_out(simnet_root: Simnet) -> None:
    """What no namespace owns comes back as an error or not at all; the only link leads to the far side."""
    with simnet_root.inside("near"):
        routes = Path("/proc/thread-self/net/route").read_text().splitlines()[1:]
    assert {line.split()[0] for line in routes} == {wiring.NEAR_LINK}


def test_settings(simnet_small: Simnet) -> None:
    names = ("net.ipv4.icmp_ratemask", "net.ipv4.ip_local_port_range", "net.core.somaxconn")
    program = simnet_small.far_run(["sysctl", "-n", *names], stdout=subprocess.PIPE, text=True)
    out, _ = program.communicate()
    assert out.split() == ["0", "1024", "65535", "65535"]


def test_loopback_is_up_on_both_sides(simnet_root: Simnet) -> None:
    for side in ("near", "far"):
        with simnet_root.inside(side), socket.socket() as server, socket.socket() as client:
            server.bind(("127.0.0.1", 0))
            server.listen()
            client.connect(server.getsockname())
            assert client.getpeername() == server.getsockname()


@pytest.mark.parametrize(
    ("number", "kind"), [(errno.EROFS, NamespaceError), (errno.EACCES, NamespaceError), (errno.EINVAL, WiringError)]
)
def test_settings_that_are_not_ours_to_change(
    number: int, kind: type[OSError], monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_text(self: Path, text: str) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "write_text", write_text)
    with pytest.raises(kind, match=r"/proc/sys/net/.* cannot be set to"):
        wiring._settings(ipv6=False)


def test_addresses_are_for_measurements_and_no_target() -> None:
    for address in (wiring.NEAR_ADDRESS, wiring.FAR_ADDRESS):
        assert ip_address(address) in ip_network("198.18.0.0/15")
