"""Nothing is left behind, however the caller ends: by close, ^C, kill -9, or with a child that holds its pipes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stages.net.confine import MARKER
from stages.simnet import namespaces, processes
from stages.simnet.network import Simnet
from stages.simnet.spec import Mode, Spec
from tests.require import require
from tests.simnet.conftest import until

#: A caller with servers, rules, a program that forks and leaves its session in the near namespace, and one in the far.
CALLER = """
import os, subprocess, sys, time
from stages.simnet.network import Simnet
from stages.simnet.spec import Mode, Spec
from stages.simnet.namespaces import network_id
extra = sys.argv[1:]
net = Simnet(Spec(targets=("10.0.0.0/24",), workers=2))
net.start()
stray = ["sh", "-c", "setsid sleep 600 & sleep 600 & wait"]
programs = [net.run(stray), net.far_run(stray)]
if "forked" in extra:
    ready, told = os.pipe()
    if os.fork() == 0:
        os.setsid()
        os.write(told, b".")
        time.sleep(600)
    os.read(ready, 1)  # it has a session of its own before anybody looks
try:
    print(network_id(net.near_pid), network_id(net.far_pid), net._warden.pid, net.far_pid, flush=True)
    if "close" in extra:
        sys.stdin.readline()
        net.close()
    sys.stdin.readline()
except KeyboardInterrupt:
    net.close()
"""


@contextmanager
def caller(*extra: str) -> Iterator[tuple[subprocess.Popen[str], set[int], int, int]]:
    """A process with a simulated Internet: it, its namespaces, the warden and the far process."""
    require(os.geteuid() == 0, "root, to see who stands in a namespace")
    with subprocess.Popen(
        [sys.executable, "-c", CALLER, *extra],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        cwd=Path(__file__).parents[2],
    ) as process:
        try:
            assert process.stdout is not None
            near, far, warden, far_pid = map(int, process.stdout.readline().split())
            assert len({near, far, namespaces.network_id()}) == 3
            assert until(lambda: len(standing({near, far})) >= 9)  # warden, 2 far, 2 x (sh, 2 sleep)
            yield process, {near, far}, warden, far_pid
        finally:
            process.kill()


def standing(networks: set[int]) -> list[int]:
    """Who stands there and is no zombie: one of those holds nothing, its namespaces are gone."""
    return processes.standing_in(networks)


def nothing_is_left(networks: set[int]) -> bool:
    names = {name for _, name in socket.if_nameindex()}
    assert not names & {MARKER, "near0", "far0"}
    return not standing(networks)


def test_after_kill_9() -> None:
    with caller() as (process, networks, _, _):
        process.send_signal(signal.SIGKILL)
        assert until(lambda: nothing_is_left(networks))


def test_after_control_c() -> None:
    with caller() as (process, networks, _, _):
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(20) == 0
        assert nothing_is_left(networks)


def test_after_close() -> None:
    with caller("close") as (process, networks, _, _):
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
        assert until(lambda: nothing_is_left(networks))
        assert process.poll() is None


def test_after_kill_9_with_a_forked_child_that_holds_the_pipe() -> None:
    with caller("forked") as (process, networks, _, _):
        session = {pid for pid in children(process.pid) if os.getsid(pid) == pid and pid not in standing(networks)}
        process.send_signal(signal.SIGKILL)
        try:
            assert until(lambda: nothing_is_left(networks))
            assert all(Path(f"/proc/{pid}").exists() for pid in session)
            assert session
        finally:
            for pid in session:
                os.kill(pid, signal.SIGKILL)


def children(pid: int) -> list[int]:
    return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_when_the_warden_is_killed_the_servers_end() -> None:
    with caller() as (_, networks, warden, far):
        os.kill(warden, signal.SIGKILL)
        assert until(lambda: far not in standing(networks) and warden not in standing(networks))
        for pid in standing(networks):
            if "sleep" in Path(f"/proc/{pid}/cmdline").read_text():
                os.kill(pid, signal.SIGKILL)


def test_when_the_far_process_ends_so_does_all() -> None:
    with caller() as (_, networks, _, far):
        os.kill(far, signal.SIGKILL)
        assert until(lambda: nothing_is_left(networks))


def test_the_warden_knows_loopback_and_stays_light() -> None:
    assert processes._LOOPBACK == Mode.LOOPBACK
    code = "import sys, stages.simnet.processes; print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_sweep_spares_whom_it_is_told_to() -> None:
    """And nobody outside of the namespaces it is given: none given, nobody killed."""
    processes.sweep(set(), spare=set())
    with Simnet(Spec(rules=False, servers=False)) as net:
        networks = {namespaces.network_id(net.near_pid)}
        keep, drop = net.run(["sleep", "600"]), net.run(["sleep", "600"])
        processes.sweep(networks, spare={net.near_pid, keep.pid})
        assert drop.wait(5) == -signal.SIGKILL
        assert keep.poll() is None


def test_sweep_gives_up_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that cannot be killed holds nobody up for ever."""
    monkeypatch.setattr(processes, "_SWEEP_SECONDS", 0.2)
    monkeypatch.setattr(processes, "standing_in", lambda networks: [2**22 + 1])
    began = time.monotonic()
    processes.sweep({1}, spare=set())
    assert time.monotonic() - began < 5
