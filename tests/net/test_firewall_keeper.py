"""The keeper itself, run in a thread of ours: names that are taken, messages that are nonsense, other users."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from stages.net import firewall_keeper, firewall_rules, nft
from stages.net.firewall_keeper import ADDRESS, MAX_HOLDERS, Keeper
from tests.require import require
from tests.servers.inside import Inside, inside
from tests.servers.veth import NEAR, Veth, veth

DEADLINE = 60.0


@pytest.fixture(scope="module")
def pair() -> Iterator[Veth]:
    require(shutil.which("nft", path=f"{os.environ['PATH']}:/usr/sbin:/sbin"), "needs nftables")
    with veth() as made:
        yield made


@pytest.fixture
def near(pair: Veth) -> Iterator[Inside]:
    with inside(pair.near_pid) as there:
        yield there
    assert tables(pair) == []


def tables(pair: Veth) -> list[str]:
    return firewall_rules.tables(pair.near("nft", "-j", "list", "tables", "ip").stdout)


@contextmanager
def keeper(near: Inside, **changes: Any) -> Iterator[socket.socket]:
    """Its starter's socket, after the first message."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.settimeout(DEADLINE)
    theirs.settimeout(DEADLINE)
    thread = threading.Thread(target=lambda: near(Keeper(theirs).keep))
    thread.start()
    try:
        asked = {"addresses": [NEAR], "ports": [40000, 40100], "what": "synack", "expiry": 60, "nft": nft.program()}
        ours.send(json.dumps({"take": asked | changes}).encode())
        yield ours
    finally:
        ours.close()
        thread.join()
        theirs.close()


def answer(peer: socket.socket) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(peer.recv(1 << 16))
    return found


def connect(near: Inside, table: str) -> socket.socket:
    """From a second thread there, for the first one keeps: a socket is of the namespace in which it was made."""
    with inside(near.pid) as there:
        peer = there(lambda: socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
        peer.settimeout(DEADLINE)
        there(lambda: peer.connect(f"{ADDRESS}{table}"))
    return peer


def test_a_name_that_is_taken_is_left_alone(pair: Veth, near: Inside) -> None:
    foreign = f"longline_{os.getpid()}_1"
    pair.near("nft", "add", "table", "ip", foreign)
    with keeper(near) as peer:
        taken = answer(peer)["taken"]
        assert taken["table"] == f"longline_{os.getpid()}_2"
        assert taken["foreign"] == [foreign]
    assert tables(pair) == [foreign]
    pair.near("nft", "delete", "table", "ip", foreign)


def test_all_names_are_taken(pair: Veth, near: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(firewall_keeper, "MAX_NAMES", 2)
    names = [f"longline_{os.getpid()}_{number}" for number in (1, 2)]
    for name in names:
        pair.near("nft", "add", "table", "ip", name)
    with keeper(near) as peer:
        said = answer(peer)
        assert said["error"] == "FirewallError"
        assert all(name in said["text"] for name in names)
    assert tables(pair) == names
    for name in names:
        pair.near("nft", "delete", "table", "ip", name)


@pytest.mark.parametrize(
    "message",
    [b"\xff", b"[]", b"7", b"{}", b'{"join": 7}', b'{"join": {"address": 1}}', b'{"join": {"a": 1, "b": 2, "c": 3}}'],
)
def test_nonsense_ends_that_connection_alone(pair: Veth, near: Inside, message: bytes) -> None:
    with keeper(near) as peer:
        table = answer(peer)["taken"]["table"]
        with connect(near, table) as other:
            other.send(message)
            assert other.recv(100) == b""
        with connect(near, table) as other:
            other.send(json.dumps({"join": {"address": NEAR, "port": 40000, "what": "synack"}}).encode())
            assert answer(other)["joined"]["table"] == table
        assert tables(pair) == [table]


def test_a_starter_that_says_nothing_or_nonsense(pair: Veth, near: Inside) -> None:
    with keeper(near, ports=[5, 1]) as peer:
        assert answer(peer) == {"error": "FirewallError", "text": "source ports 5-1 are no range between 1 and 65535"}
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        ours.close()
        near(Keeper(theirs).keep)


def test_holders_have_a_bound(pair: Veth, near: Inside) -> None:
    with keeper(near) as peer:
        table = answer(peer)["taken"]["table"]
        others = [connect(near, table) for _ in range(MAX_HOLDERS)]
        try:
            assert others[-1].recv(100) == b""  # the starter is one of them
            others[0].send(json.dumps({"join": {"address": NEAR, "port": 40000, "what": "synack"}}).encode())
            assert "joined" in answer(others[0])
        finally:
            for other in others:
                other.close()


def test_another_user_does_not_hold_it(pair: Veth, near: Inside) -> None:
    script = (
        "import os, socket, sys\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "peer = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n"
        "peer.settimeout(60)\n"
        "peer.connect('\\0' + sys.argv[1])\n"
        "print(peer.recv(100))\n"
    )
    with keeper(near) as peer:
        table = answer(peer)["taken"]["table"]
        done = pair.near(sys.executable, "-c", script, f"{ADDRESS[1:]}{table}", check=False)
        assert done.stdout == "b''\n" or "ConnectionResetError" in done.stderr, done.stderr
        assert tables(pair) == [table]
