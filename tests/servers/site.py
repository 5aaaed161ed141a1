"""A distant site of a town: a namespace of its own, joined to the near side by a path with faults.

    servers, far <-veth-> near (coordinator, sink) <- the path (`tests.servers.faults`) -> the site (an agent)

What an agent there says to its coordinator, and what it sends to its targets, takes this path. A path that is cut drops
nothing that waits in it: it comes when the path is mended, as late as it is.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from stages.simnet.network import Simnet
from tests.servers.veth import ROOT, _namespace, environment

#: The near side towards the far one (`stages.simnet.wiring`).
NEAR: str = "198.18.0.1"


@dataclass
class Site:
    pid: int
    home: str  #: the near side's address, as the site sees it
    path: subprocess.Popen[str]

    def wrap(self, argv: list[str]) -> list[str]:
        """As `Worker`'s `wrap`: the program runs there."""
        return ["nsenter", "-t", str(self.pid), "-n", *argv]

    def cut(self) -> None:
        self.path.send_signal(signal.SIGSTOP)

    def mend(self) -> None:
        self.path.send_signal(signal.SIGCONT)


def _in(pid: int, script: str) -> None:
    argv: Sequence[str] = ("nsenter", "-t", str(pid), "-n", "sh", "-ec", script)
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, cwd=ROOT, env=environment(), check=False)
    assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"


@contextmanager
def site(town: Simnet, number: int, **faults: float) -> Iterator[Site]:
    """`number`: another one for each site of a town, 0 to 99. `faults`: as of `tests.servers.faults`."""
    holders = [_namespace() for _ in range(2)]
    there, middle = (holder.pid for holder in holders)
    home, address, name = f"198.51.{100 + number}.1", f"198.51.{100 + number}.2", f"site{number}"
    try:
        for pid, mine, its, ip in ((there, "home0", "to-there", address), (town.near_pid, name, "to-home", home)):
            _in(
                pid,
                f"""
                ip link set lo up
                ip link add {mine} type veth peer name {its} netns {middle}
                ip addr add {ip}/24 dev {mine}
                ip link set {mine} up
                nsenter -t {middle} -n ip link set {its} up
                {sys.executable} -m tests.servers.faults --finish {mine}
                """,
            )
        # The marker that the confinement guard looks for, and the way to the town.
        marker = "ip link add longline-sim type veth peer name longline-sim1"
        _in(there, f"{marker}\nip route add default via {home}")
        _in(town.near_pid, "sysctl -qw net.ipv4.ip_forward=1")
        _in(town.far_pid, f"ip route replace 198.51.{100 + number}.0/24 via {NEAR}")
        argv = (sys.executable, "-m", "tests.servers.faults", "to-there", "to-home", json.dumps(faults))
        path = subprocess.Popen(
            ["nsenter", "-t", str(middle), "-n", *argv], stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment()
        )
        try:
            assert path.stdout is not None
            assert path.stdout.readline().strip() == "ready"
            yield Site(there, home, path)
        finally:
            os.kill(path.pid, signal.SIGCONT)
            path.terminate()
            path.wait()
            assert path.stdout is not None
            path.stdout.close()
    finally:
        for holder in holders:
            holder.kill()
            holder.wait()
        _in(town.near_pid, f"ip link del {name} 2>/dev/null || true")
