"""Two network namespaces joined by a veth pair: `near` (the scanner's side) and `far` (everything it can reach).

Nothing is named and nothing stays: each namespace lives as long as a sleeping process that dies with this one. The far
side answers for whole prefixes by AnyIP (`local 10.0.0.0/8 dev lo`). Both carry the marker link that the confinement
guard looks for.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.require import require

ROOT = Path(__file__).resolve().parents[2]
NEAR, FAR = "198.51.100.2", "198.51.100.1"
ANYIP = "10.0.0.0/8"
_READY_S = 10


@dataclass
class Veth:
    near_pid: int
    far_pid: int

    def argv(self, pid: int, argv: Sequence[str]) -> list[str]:
        return ["nsenter", "-t", str(pid), "-n", *argv]

    def near(
        self, *argv: str, check: bool = True, timeout: float = 60, **more: object
    ) -> subprocess.CompletedProcess[str]:
        return _run(self.argv(self.near_pid, argv), check=check, timeout=timeout, **more)

    def far(
        self, *argv: str, check: bool = True, timeout: float = 60, **more: object
    ) -> subprocess.CompletedProcess[str]:
        return _run(self.argv(self.far_pid, argv), check=check, timeout=timeout, **more)

    @contextmanager
    def program(self, pid: int, *argv: str, ready: str = "", ask: bool = False) -> Iterator[subprocess.Popen[str]]:
        """A program inside, until the block ends; waits for the line `ready` on its standard output if one is given.

        `ask`: its standard input is a pipe.
        """
        process = subprocess.Popen(
            self.argv(pid, argv), stdin=subprocess.PIPE if ask else None, stdout=subprocess.PIPE, text=True, cwd=ROOT,
            env=environment(),
        )  # fmt: skip
        try:
            if ready:
                assert process.stdout is not None
                assert process.stdout.readline().strip() == ready
            yield process
        finally:
            process.terminate()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()


def environment() -> dict[str, str]:
    return {**os.environ, "LONGLINE_CONFINE": "1"}


def _run(argv: list[str], *, check: bool, timeout: float, **more: object) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        argv, capture_output=True, text=True, timeout=timeout, cwd=ROOT, env=environment(), check=False, **more
    )  # type: ignore[call-overload]
    if check and done.returncode:
        raise AssertionError(f"{argv} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done


def _namespace() -> subprocess.Popen[bytes]:
    process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "unshare", "-n", "sleep", "infinity"])
    own = os.readlink("/proc/self/ns/net")
    end = time.monotonic() + _READY_S
    while time.monotonic() < end:
        with suppress(OSError):
            if os.readlink(f"/proc/{process.pid}/ns/net") != own:
                return process
        time.sleep(0.005)
    process.kill()
    process.wait()
    raise AssertionError("unshare made no namespace")


@contextmanager
def veth() -> Iterator[Veth]:
    """The pair, up, with addresses, and a default route from near to far."""
    require(sys.platform == "linux" and os.geteuid() == 0, "network namespaces need root on Linux")
    require(all(map(shutil.which, ("ip", "nsenter", "setpriv", "unshare"))), "needs iproute2 and util-linux")
    holders: list[subprocess.Popen[bytes]] = []
    try:
        holders.append(_namespace())
        holders.append(_namespace())
        pair = Veth(holders[0].pid, holders[1].pid)
        pair.near(
            "sh",
            "-ec",
            f"""
            ip link set lo up
            ip link add longline-sim type veth peer name longline-sim netns {pair.far_pid}
            ip link add near0 type veth peer name far0 netns {pair.far_pid}
            ip addr add {NEAR}/24 dev near0
            ip link set near0 up
        """,
        )
        pair.far(
            "sh",
            "-ec",
            f"""
            ip link set lo up
            ip addr add {FAR}/24 dev far0
            ip link set far0 up
            ip route add local {ANYIP} dev lo
            sysctl -qw net.ipv4.tcp_max_syn_backlog=65536 net.core.somaxconn=65536
            sysctl -qw net.ipv4.icmp_ratelimit=0 net.ipv4.icmp_msgs_per_sec=1000000 net.ipv4.icmp_msgs_burst=100000
        """,
        )
        pair.near("sh", "-ec", f"ip route add default via {FAR}")
        yield pair
    finally:
        for holder in holders:
            holder.kill()
            holder.wait()
