"""What a coordinator costs: `python -m tests.bench.bench_fleet`.

A thousand agents, each with a certificate and a TLS connection of its own over loopback, hold a slice and give a sign
of life every two seconds, each third one with ten results before it; they scan nothing. Measured over half a minute
after all are there: the CPU of `longline coordinator`, its memory, and how long an answer takes. The agents are played
by one process beside it, on the same two cores.

Then what friends are good for: a scan of some five minutes at an agent's rate, done by one agent and by five, in a
simulated network; the time from the first lease to the end, as the coordinator's trace tells it.

Exit code 1 when a bar is missed.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import os
import random
import subprocess
import sys
import tempfile
import time
from ipaddress import IPv4Address
from pathlib import Path
from typing import Final

import numpy as np

from stages.cli.slices import prepared_of
from stages.core.records import Hit
from stages.core.times import from_rfc3339
from stages.fleet import ca, messages
from stages.fleet.agent import BEAT
from stages.fleet.https import Client
from stages.fleet.messages import PROTOCOL, Capabilities, Slice
from stages.fleet.state import State
from stages.fleet.work import proof
from stages.scanner.permutation import Permutation
from stages.simnet.network import Simnet
from stages.simnet.spec import Spec
from tests.bench.bench_send import cpu_ns
from tests.bench.rows import measured
from tests.integration.fleet import Ground
from tests.integration.workers import Crew, until
from tests.servers.kafka import free_port

AGENTS: Final = 1_000
SECONDS: Final = 30.0
RESULTS: Final = 10
CPU_BAR: Final = 1.0
MB_BAR: Final = 300.0

#: 131,072 targets with two ports: 328 s of one agent.
SHARED: Final = "10.0.0.0/16"
RATE: Final = 400
FRIENDS: Final = 5
SHARING_BAR: Final = 4.5

SCAN: Final = '[scanner]\ntargets = ["10.0.0.0/8"]\ntarget_ports = "80-95"\nscan = "bench"\nseed = 1\n'


class Played:
    """One agent that scans nothing."""

    def __init__(self, alias: str, url: str, identity: ca.Identity) -> None:
        self.alias = alias
        self.waits: list[float] = []
        self._client = Client(url, identity)
        self._slice: Slice | None = None
        self._position = 0
        self._lines: list[bytes] = []

    async def say(self, path: str, body: bytes, token: str = "") -> bytes:
        began = time.perf_counter()
        status, answer = await self._client.post(path, body, token)
        self.waits.append(time.perf_counter() - began)
        if status != 200:
            raise SystemExit(f"{self.alias}: {path}: {status} {answer!r}")
        return answer

    async def begin(self) -> None:
        can = Capabilities(version="0", engine="packet", privileged=True, probes=("tcp_synscan",), rate=1_000.0)
        hello = messages.Hello(protocol=PROTOCOL, capabilities=can, clock=time.time())
        await self.say("/v1/hello", messages.dump(hello))
        lease = messages.parse(
            messages.Lease, await self.say("/v1/lease", messages.dump(messages.Ask(protocol=PROTOCOL)))
        )
        if lease.slice is None:
            raise SystemExit(f"{self.alias}: {lease.reason}")
        self._slice, self._position = lease.slice, lease.slice.first
        begin = messages.Begin(token=lease.slice.token, digest=lease.slice.work.digest)
        await self.say("/v1/begin", messages.dump(begin))

    def found(self) -> bytes:
        """Ten of its own targets, as hits."""
        slice = self._slice
        assert slice is not None
        if not self._lines:
            prepared = prepared_of(slice.work)
            positions = np.arange(slice.first, slice.first + RESULTS, dtype=np.uint64)
            targets = Permutation(slice.work.size, slice.work.seed).at(positions)
            for address, port in zip(*prepared.targets.space(prepared.ports).at(targets), strict=True):
                ip = str(IPv4Address(int(address)))
                self._lines.append(Hit("bench", int(time.time() * 1e6), ip, int(port), self.alias).dump())
        return b"\n".join(self._lines)

    async def live(self, until: float, phase: float) -> None:
        slice = self._slice
        assert slice is not None
        await asyncio.sleep(phase * BEAT)
        number = 0
        while time.monotonic() < until:
            began = time.monotonic()
            if number % 3 == 0:
                await self.say("/v1/results", self.found(), str(slice.token))
            number += 1
            self._position = min(self._position + 100, slice.last - 1)
            shown = proof(slice.work.digest, slice.first, self._position, slice.only)
            said = messages.Progress(token=slice.token, position=self._position, proof=shown, sent=100, rate=50.0)
            await self.say("/v1/progress", messages.dump(said))
            await asyncio.sleep(max(0.0, began + BEAT - time.monotonic()))

    async def close(self) -> None:
        await self._client.close()


def enrolled(folder: Path, state: State, number: int) -> list[tuple[str, ca.Identity]]:
    """So many agents with certificates, as if each had come with a token."""
    authority = ca.Authority(folder / "fleet")
    now = dt.datetime.now(dt.UTC)
    found, rows = [], []
    for n in range(number):
        alias, identity = f"agent{n}", ca.Identity(folder / "agents" / str(n))
        key, request = ca.request(alias)
        pem, serial, ends = authority.agent(request, alias, now)
        for path, content in ((identity.key, key), (identity.certificate, pem), (identity.authority, authority.pem)):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        rows.append((serial, alias, now.timestamp(), ends))
        found.append((alias, identity))
    insert = "INSERT INTO fleet_certificates VALUES (?, ?, ?, ?, NULL)"
    state.file.write_sync(lambda c: c.executemany(insert, rows))
    return found


async def play(url: str, agents: list[tuple[str, ca.Identity]], pid: int) -> tuple[float, float, list[float]]:
    """(share of a core, MB, seconds of each answer) while all of them live."""
    played = [Played(alias, url, identity) for alias, identity in agents]
    for some in range(0, len(played), 50):
        await asyncio.gather(*(agent.begin() for agent in played[some : some + 50]))
    rng = random.Random(1)
    for agent in played:
        agent.waits.clear()
    until = time.monotonic() + SECONDS
    spent, began = cpu_ns(pid), time.monotonic()
    await asyncio.gather(*(agent.live(until, rng.random()) for agent in played))
    share = (cpu_ns(pid) - spent) / 1e9 / (time.monotonic() - began)
    memory = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    for agent in played:
        await agent.close()
    return share, memory, [wait for agent in played for wait in agent.waits]


def sharing(town: Simnet, friends: int) -> float:
    """Seconds from the first lease to the end of a scan that so many agents share."""
    with tempfile.TemporaryDirectory() as directory, Crew() as crew, contextlib.redirect_stdout(None):
        ground = Ground(town, crew, Path(directory) / "ground", timeout=60)
        agents = [ground.agent(f"friend{n}", "--engine", "packet", rate=RATE) for n in range(friends)]
        until(lambda: ground.seen()["agents"]["online"] == friends, "all are there")
        ground.submit("shared", cooldown_time=1)
        until(lambda: ground.scan("shared")["state"] == "complete", "it is complete", 900)
        trace = ground.trace()
        ground.end(agents)
    moments = {line["event"]: line["at"] for line in reversed(trace)}  # the first of each
    return (from_rfc3339(moments["complete"]) - from_rfc3339(moments["leased"])) / 1e6


def main() -> int:
    holds = many()
    with Simnet(Spec(seed=1, targets=(SHARED,), ports=(80, 443))) as town:
        one, five = sharing(town, 1), sharing(town, FRIENDS)
    measured("one agent", [one], "s")
    measured("five agents", [five], "s")
    return 0 if measured("one agent / five agents", [one / five], "", bar=SHARING_BAR) and holds else 1


def many() -> bool:
    """Whether a coordinator bears them."""
    longline = str(Path(sys.executable).with_name("longline"))
    with tempfile.TemporaryDirectory() as directory:
        folder, port = Path(directory), free_port()
        subprocess.run([longline, "fleet", "init", "--host", "127.0.0.1"], cwd=folder, check=True)
        (folder / "bench.toml").write_text(SCAN)
        subprocess.run([longline, "campaign", "submit", "bench.toml"], cwd=folder, check=True)
        state = State(folder / "fleet.db")
        agents = enrolled(folder, state, AGENTS)
        state.close()
        words = ["--bus", "sqlite:log.db", "--listen", f"127.0.0.1:{port}"]
        coordinator = subprocess.Popen([longline, "coordinator", *words], cwd=folder)
        try:
            time.sleep(5)
            share, memory, waits = asyncio.run(play(f"https://127.0.0.1:{port}", agents, coordinator.pid))
        finally:
            coordinator.terminate()
            coordinator.wait()
    waits.sort()
    measured("answer, seconds", [waits[0], waits[len(waits) // 2], waits[-1]], "s")
    measured("requests a second", [len(waits) / SECONDS], "/s")
    holds = measured(f"cores of a coordinator with {AGENTS:,} agents", [share], "", bar=CPU_BAR, at_most=True)
    return measured("its memory", [memory], "MB", bar=MB_BAR, at_most=True) and holds


if __name__ == "__main__":
    os.environ.setdefault("LONGLINE_CONFINE", "1")
    sys.exit(main())
