"""Going on from a checkpoint: behind a kill, with answers that come late; behind an interface that went down."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stages.scanner import checkpoint
from tests.require import require
from tests.servers.veth import ROOT, Veth, environment, veth

COMMAND = (sys.executable, "-m", "tests.servers.run_scan")
LISTEN = """
import signal, socket
server = socket.create_server(("0.0.0.0", 80), backlog=4096)
print("ready", flush=True)
signal.pause()
"""
#: In the far namespace, where the kernel is told to say nothing: SYNs are kept. A line "count" tells the targets of
#: those that came since the last "next", which tells them too and begins anew; "answer" sends a SYN-ACK to each SYN
#: that came before the first "next".
LATE = """
import json, select, socket, sys
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether
sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
sock.setsockopt(socket.SOL_SOCKET, 33, 1 << 25)  # SO_RCVBUFFORCE
sock.bind(("far0", 0x0800))
print("ready", flush=True)
phases = [[]]
while True:
    able = select.select([sock, sys.stdin], [], [])[0]
    if sock in able:
        frame = sock.recv(2048)
        if frame[23] == 6 and frame[47] & 2 and not frame[47] & 16:
            phases[-1].append(frame)
    elif (word := sys.stdin.readline().strip()) in ("count", "next"):
        print(json.dumps([socket.inet_ntoa(frame[30:34]) for frame in phases[-1]]), flush=True)
        if word == "next":
            phases.append([])
    elif word == "answer":
        for syn in map(Ether, phases[0]):
            ip, tcp = syn[IP], syn[TCP]
            answer = Ether(src=syn.dst, dst=syn.src) / IP(src=ip.dst, dst=ip.src) / TCP(
                sport=tcp.dport, dport=tcp.sport, seq=1, ack=tcp.seq + 1, flags="SA"
            )
            sock.send(bytes(answer))
    else:
        break
"""
QUIET = "add table ip quiet\nadd chain ip quiet i { type filter hook input priority 0; policy drop; }\n"
#: Longer than the test may take: nothing here waits for it.
COOLDOWN = "100"
SECONDS = 60


@pytest.fixture
def net() -> Iterator[Veth]:
    with veth() as pair:
        yield pair


@contextmanager
def scan(net: Veth, *words: str) -> Iterator[subprocess.Popen[str]]:
    argv = net.argv(net.near_pid, [*COMMAND, "-q", *words])
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=environment()) as process:
        try:
            yield process
        finally:
            process.kill()


def until_it_is_on_its_way(process: subprocess.Popen[str], state: Path) -> None:
    end = time.monotonic() + SECONDS
    while not state.exists() or not checkpoint.read(state).position:
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.02)


def until_it_has_a_carrier(net: Veth) -> None:
    """The kernel says so up to a second after the link is up; until then there is nothing to send by."""
    end = time.monotonic() + SECONDS
    while json.loads(net.near("ip", "-j", "link", "show", "near0").stdout)[0]["operstate"] != "UP":
        assert time.monotonic() < end
        time.sleep(0.05)


def addresses(count: int) -> set[str]:
    return {f"10.2.{i >> 8}.{i & 255}" for i in range(count)}


@pytest.mark.parametrize("engine", ["packet", "auto"])
def test_an_answer_to_a_probe_from_before_a_kill_counts_behind_it(net: Veth, tmp_path: Path, engine: str) -> None:
    """Also where the second run does not ask again, because the checkpoint had passed."""
    size, out, state = 8192, tmp_path / "out", tmp_path / "state"
    words = ["-p", "80", "--engine", engine, "-O", "list", "-o", str(out)]
    require(shutil.which("nft"), "needs nftables")
    # The next hop answers ARP; the kernel of the far side says nothing else.
    net.far("nft", "-f", "-", input=QUIET)
    with net.program(net.far_pid, sys.executable, "-c", LATE, ready="ready", ask=True) as late:
        assert late.stdin is not None
        assert late.stdout is not None

        def tell(word: str) -> None:
            assert late.stdin is not None
            late.stdin.write(word + "\n")
            late.stdin.flush()

        with scan(net, *words, "-c", "0.5", "-r", "300", "--checkpoint", str(state), "10.2.0.0/19") as first:
            until_it_is_on_its_way(first, state)
            first.kill()
        held = checkpoint.read(state)
        tell("next")
        asked = json.loads(late.stdout.readline())
        assert 0 < held.position <= len(asked) == len(set(asked)) < size
        assert not out.exists() or not out.read_text()

        with scan(
            net, *words, "-c", COOLDOWN, "-r", "4000", "--resume", str(state), "-N", str(len(asked)), "10.2.0.0/19"
        ) as second:
            end, again = time.monotonic() + SECONDS, []
            while len(again) < size - held.position:
                assert second.poll() is None
                assert time.monotonic() < end
                time.sleep(0.05)
                tell("count")
                again = json.loads(late.stdout.readline())
            tell("answer")
            _, told = second.communicate(timeout=SECONDS)
        assert second.returncode == 0, told
    assert sorted(out.read_text().split()) == sorted(asked)
    assert len(set(asked) - set(again)) == held.position
    assert set(asked) | set(again) == addresses(size)


@pytest.mark.parametrize("engine", ["packet", "auto"])
def test_an_interface_that_goes_down_and_comes_up_ends_the_scan_which_can_go_on(
    net: Veth, tmp_path: Path, engine: str
) -> None:
    size, out, state = 8192, tmp_path / "out", tmp_path / "state"
    words = ["-p", "80", "--engine", engine, "-O", "list", "-o", str(out), "-c", "1"]
    with net.program(net.far_pid, sys.executable, "-c", LISTEN, ready="ready"):
        with scan(net, *words, "-r", "300", "--checkpoint", str(state), "10.2.0.0/19") as first:
            until_it_is_on_its_way(first, state)
            net.near("sh", "-ec", "ip link set near0 down; ip link set near0 up; ip route add default via 198.51.100.1")
            _, told = first.communicate(timeout=SECONDS)
        assert first.returncode == 1, told
        assert "near0 is down" in told
        assert "Traceback" not in told
        held = checkpoint.read(state)
        assert 0 < held.position < size
        assert not held.finished
        until_it_has_a_carrier(net)
        with scan(net, *words, "-r", "10000", "--resume", str(state), "10.2.0.0/19") as second:
            _, told = second.communicate(timeout=SECONDS)
        assert second.returncode == 0, told
    assert checkpoint.read(state).finished
    found = out.read_text().split()
    assert set(found) == addresses(size)
