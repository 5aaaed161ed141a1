"""Adoption by the helper: the process that asks has no capability left."""

from __future__ import annotations

import errno
import os
import resource
import select
import shutil
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from stages.net import privileges
from stages.net.adopting import BATCH, Adopter
from stages.net.firewall import Lease
from stages.net.repair import Unable
from tests.require import require
from tests.servers.half_open import OWN_WSCALE, Shaker, shaker
from tests.servers.inside import Inside, inside
from tests.servers.veth import NEAR, Veth, veth

DEADLINE = 60.0
PORTS = (40000, 48000)
_ports = iter(range(*PORTS))


@pytest.fixture(scope="module")
def pair() -> Iterator[Veth]:
    require(shutil.which("nft", path=f"{os.environ['PATH']}:/usr/sbin:/sbin"), "needs nftables")
    with veth() as made:
        yield made


@pytest.fixture(scope="module")
def near(pair: Veth) -> Iterator[Inside]:
    with inside(pair.near_pid) as there:
        yield there


@pytest.fixture(scope="module")
def shake(near: Inside) -> Iterator[Shaker]:
    with ExitStack() as stack:
        stack.enter_context(near(lambda: Lease.take([NEAR], PORTS, expiry=3600)))
        yield near(lambda: stack.enter_context(shaker("near0", NEAR)))


@pytest.fixture(scope="module")
def listener(pair: Veth) -> Iterator[socket.socket]:
    with inside(pair.far_pid) as there, there(lambda: socket.create_server(("0.0.0.0", 0), backlog=4096)) as made:
        made.settimeout(DEADLINE)
        yield made


@pytest.fixture
def adopter(near: Inside) -> Iterator[Adopter]:
    with near(Adopter) as made:
        yield made


def half_open(shake: Shaker, listener: socket.socket, count: int) -> list[Any]:
    own, port = next(_ports), listener.getsockname()[1]
    return [shake.synack(f"10.2.{number >> 8}.{number & 255}", port, own) for number in range(1, count + 1)]


def greet(listener: socket.socket, count: int) -> None:
    """Each of `count` connections is told which of our addresses it was to."""
    for _ in range(count):
        connection, _ = listener.accept()
        with connection:
            connection.sendall(connection.getsockname()[0].encode())


def said(sock: socket.socket) -> str:
    sock.settimeout(DEADLINE)
    with sock:
        return sock.recv(100).decode()


def test_a_batch_comes_back_in_its_order(adopter: Adopter, shake: Shaker, listener: socket.socket) -> None:
    rows = half_open(shake, listener, BATCH)
    rows[7]["ours"] += 1  # is not ours
    answers = adopter.adopt(rows, own_wscale=OWN_WSCALE)
    greet(listener, BATCH - 1)
    failed = answers.pop(7)
    assert isinstance(failed, OSError)
    assert failed.errno == errno.EADDRNOTAVAIL
    heard = []
    for answer in answers:
        assert isinstance(answer, socket.socket)
        assert not answer.getblocking()
        heard.append(said(answer))
    assert heard == [f"10.2.0.{number}" for number in range(1, BATCH + 1) if number != 8]


def test_a_loop_waits_for_the_descriptor(adopter: Adopter, shake: Shaker, listener: socket.socket) -> None:
    rows = half_open(shake, listener, 3)
    assert adopter.collect() is None
    adopter.submit(rows[:1], own_wscale=OWN_WSCALE)
    adopter.submit(rows[1:], own_wscale=OWN_WSCALE)
    assert adopter.asked == 3
    with pytest.raises(ValueError, match="have not been collected"):
        adopter.adopt(rows, own_wscale=OWN_WSCALE)
    batches = []
    while adopter.asked:
        assert select.select([adopter], [], [], DEADLINE)[0]
        if (batch := adopter.collect()) is not None:
            batches.append(batch)
    greet(listener, 3)
    assert [[said(sock) for sock in batch if isinstance(sock, socket.socket)] for batch in batches] == [
        ["10.2.0.1"], ["10.2.0.2", "10.2.0.3"],
    ]  # fmt: skip


def test_we_speak_first(adopter: Adopter, shake: Shaker, listener: socket.socket) -> None:
    (sock,) = adopter.adopt(half_open(shake, listener, 1), own_wscale=OWN_WSCALE, acknowledge=False)
    assert isinstance(sock, socket.socket)
    sock.send(b"hello")
    connection, _ = listener.accept()
    with connection:
        connection.settimeout(DEADLINE)
        assert connection.recv(5) == b"hello"
        connection.sendall(b"10.2.0.1")
    assert said(sock) == "10.2.0.1"


@pytest.mark.parametrize("count", [0, BATCH + 1])
def test_too_many_or_none(adopter: Adopter, count: int) -> None:
    with pytest.raises(ValueError, match=f"{count} connections in one request"):
        adopter.submit([_row()] * count, own_wscale=8)


def test_numbers_that_no_segment_has_are_not_sent(adopter: Adopter) -> None:
    with pytest.raises(ValueError, match="seq 4294967296"):
        adopter.submit([_row() | {"seq": 2**32}], own_wscale=8)
    assert adopter.asked == 0


def test_no_descriptor_left(adopter: Adopter, shake: Shaker, listener: socket.socket) -> None:
    """What there is no room for is told as such, and closed by the kernel."""
    rows = half_open(shake, listener, 4)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    adopter.submit(rows, own_wscale=OWN_WSCALE)
    assert select.select([adopter], [], [], DEADLINE)[0]
    probe = socket.socket()
    resource.setrlimit(resource.RLIMIT_NOFILE, (probe.fileno() + 2, hard))
    fillers = []
    try:
        with suppress(OSError):
            while True:
                fillers.append(os.dup(0))
        os.close(fillers.pop())
        probe.close()
        answers = adopter.collect()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for descriptor in fillers:
            os.close(descriptor)
    assert answers is not None
    given = [answer for answer in answers if isinstance(answer, socket.socket)]
    errors = [answer.errno for answer in answers if isinstance(answer, OSError)]
    assert (len(given), errors) == (2, [errno.EMFILE] * 2)
    for sock in given:
        sock.close()
    for _ in range(4):
        listener.accept()[0].close()


def test_a_helper_that_is_killed(pair: Veth, near: Inside, shake: Shaker, listener: socket.socket) -> None:
    with near(Adopter) as adopter:
        os.kill(_helper(pair), signal.SIGKILL)
        with pytest.raises(OSError, match=r"has ended|Broken pipe|reset"):
            adopter.adopt([_row()], own_wscale=8)


def test_the_helper_ends_with_us_and_not_before(pair: Veth, near: Inside) -> None:
    with near(Adopter) as adopter:
        helper = _helper(pair)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(helper, number)
        (answer,) = adopter.adopt([_row()], own_wscale=8)
        assert isinstance(answer, OSError)
        assert _capabilities(helper) == {1 << privileges.CAP_NET_ADMIN}
    end = time.monotonic() + DEADLINE
    while Path(f"/proc/{helper}").exists() and time.monotonic() < end:
        time.sleep(0.005)
    assert not Path(f"/proc/{helper}").exists()


def test_without_the_capability(pair: Veth) -> None:
    def without() -> None:
        privileges.drop()
        with pytest.raises(Unable, match="CAP_NET_ADMIN") as caught:
            Adopter()
        assert caught.value.errno == errno.EPERM

    with inside(pair.near_pid) as there:
        there(without)


#: A whole process that has dropped everything: it makes the SYN before, adopts and talks after.
DROPPED = """
import sys
from stages.net.adopting import Adopter
from stages.net.firewall import Lease
from stages.net.privileges import Setup, capabilities, CAP_NET_ADMIN
from tests.servers.half_open import Shaker, OWN_WSCALE
port = int(sys.argv[1])
with Setup() as setup:
    lease, adopter, shaker = setup.run(
        lambda: (Lease.take(["198.51.100.2"], (49000, 49001)), Adopter(), Shaker("near0", "198.51.100.2")))
    assert not capabilities() >> CAP_NET_ADMIN & 1
    with lease, adopter:
        row = shaker.synack("10.2.0.77", port, 49000)
        shaker.close()
        (sock,) = adopter.adopt([row], own_wscale=OWN_WSCALE)
        sock.settimeout(60)
        with sock:
            print(sock.recv(100).decode(), flush=True)
"""


def test_a_process_without_capabilities(pair: Veth, listener: socket.socket) -> None:
    with pair.program(
        pair.near_pid, sys.executable, "-W", "error", "-c", DROPPED, str(listener.getsockname()[1])
    ) as process:
        greet(listener, 1)
        assert process.stdout is not None
        assert process.stdout.readline() == "10.2.0.77\n"
        assert process.wait(DEADLINE) == 0


def _row() -> dict[str, int]:
    return {"peer": 0xC6336401, "ours": 0xC6336409, "peer_port": 80, "own_port": 40000, "seq": 1, "ack": 2,
            "window": 1000, "mss": 1460, "wscale": 7, "sack": 1, "has_ts": 0, "ts_ecr": 0}  # fmt: skip


def _helper(pair: Veth) -> int:
    """The one process in the near namespace that adopts."""
    namespace = os.stat(f"/proc/{pair.near_pid}/ns/net").st_ino
    found = []
    for entry in filter(str.isdecimal, os.listdir("/proc")):
        with suppress(OSError):
            words = Path(f"/proc/{entry}/cmdline").read_bytes()
            if os.stat(f"/proc/{entry}/ns/net").st_ino == namespace and b"stages.net.adopting" in words:
                found.append(int(entry))
    (helper,) = found
    return helper


def _capabilities(pid: int) -> set[int]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {int(line.split()[1], 16) for line in lines if line.startswith(("CapPrm", "CapEff"))}
