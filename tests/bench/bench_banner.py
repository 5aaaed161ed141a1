"""What a banner costs, beside zgrab2 on the same targets: `python -m tests.bench.bench_banner`.

One nginx on the loopback answers for 20,000 addresses of 127.1.0.0/16. `longline bannergrab` (standard input and
output, JSON records, no limit on a prefix) and zgrab2's `banner` send it the same request and write what came to a
file, 500 connections at once; they take turns. CPU is that of the whole process, user and system, less that of the
same program without a target, for each target. What else runs on the machine only adds to it (shared caches), so the
ratio that counts is that of the best rounds. Then 10,000 connections are held open to a silent server, and the
worker's memory is compared with what it had before. Exit code 1 when a bar is missed.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.bench.rows import measured
from tests.servers.webserver import webserver
from tests.servers.zgrab2 import ROOT, zgrab2

TARGETS = 20_000
CONCURRENT = 500
ROUNDS = 9
CPU_BAR = 0.75

OPEN = 10_000
OPEN_BAR_MB = 60.0
IDLE_BAR_MB = 60.0

REQUEST = b"GET / HTTP/1.0\r\nHost: longline\r\n\r\n"

_MB = 2**20


class Lines:
    """A source of lines that are held back until `go` is set."""

    ready = True

    def __init__(self, file: Path) -> None:
        self._lines = [line for line in file.read_bytes().split(b"\n") if line]
        self._taken = 0
        self.go = asyncio.Event()

    @property
    def ended(self) -> bool:
        return self.go.is_set() and self._taken == len(self._lines)

    async def start(self, on_revoke: object) -> None:
        pass

    async def poll(self, max_records: int, timeout: float) -> list[object]:
        from stages.core.bus.base import Chunk

        if not self.go.is_set():
            await asyncio.sleep(min(timeout, 0.02))
            return []
        first = self._taken
        lines = self._lines[first : first + max_records]
        self._taken += len(lines)
        return [Chunk("file", 0, first, first + len(lines), lines)] if lines else []

    async def commit(self, positions: object) -> None:
        pass

    async def lag(self) -> int:
        return 0

    async def close(self) -> None:
        pass


class Nowhere:
    """Writes nothing."""

    ready = True

    async def start(self) -> None:
        pass

    async def publish(self, outputs: Sequence[object]) -> None:
        pass

    async def settle(self, outputs: Sequence[object], source: object, positions: object) -> None:
        pass

    async def close(self) -> None:
        pass


def worker(targets: str, port: str) -> None:
    """A bannergrab in this process; prints its memory without and with OPEN connections as JSON."""
    from stages.bannergrab.app import make_runner
    from stages.bannergrab.settings import BannergrabSettings
    from stages.core.bus.base import Topics
    from stages.core.lifecycle import Life, launch
    from stages.core.lists import Lists
    from stages.core.policy import Policy
    from stages.core.politeness import Limits
    from stages.core.settings import ListSettings, RunnerSettings

    policy = Policy.for_records(Lists(), ListSettings())

    async def main(life: Life) -> int:
        source = Lines(Path(targets))
        settings = BannergrabSettings(port=int(port), concurrent=OPEN, first_timeout=60.0, total_timeout=60.0)
        runner = make_runner(
            settings,
            source=source,  # type: ignore[arg-type]
            publisher=Nowhere(),  # type: ignore[arg-type]
            topics=Topics(),
            runner=RunnerSettings(drain_deadline=1.0),
            blocked=policy.blocked,
            limits=Limits(per_host=2),
            shared=False,
            text=True,
            capacity=OPEN,
            scan="bench",
        )
        running = asyncio.create_task(runner.run())
        while not runner.ready:
            await asyncio.sleep(0.02)
        before = resident()
        source.go.set()
        metrics = runner.metrics.all
        while metrics["longline_bannergrab_connections_open"].value < OPEN:  # type: ignore[union-attr]
            await asyncio.sleep(0.05)
        await asyncio.sleep(1.0)
        print(json.dumps({"idle": before, "open": resident()}), flush=True)
        runner.stop()
        await running
        return 0

    sys.exit(launch(main))


def resident() -> int:
    """Bytes of memory of this process (proc(5), statm)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def silent_server(port: str) -> None:
    """Accepts everything, says nothing."""
    held = []
    listener = socket.create_server(("0.0.0.0", int(port)), backlog=16_384)
    print(listener.getsockname()[1], flush=True)
    while True:
        held.append(listener.accept()[0])


def cpu(argv: Sequence[str], environment: Mapping[str, str], stdin: Path, stdout: Path) -> float:
    """Seconds of CPU that a command took."""
    with stdin.open("rb") as targets, stdout.open("wb") as out:
        process = subprocess.Popen(
            argv, cwd=ROOT, env=dict(environment), stdin=targets, stdout=out, stderr=subprocess.DEVNULL
        )
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{argv} ended with {process.returncode}")
    return usage.ru_utime + usage.ru_stime


def compare(home: Path, environment: Mapping[str, str]) -> bool:
    targets, nobody, request = home / "targets", home / "nobody", home / "request"
    targets.write_text("".join(f"127.1.{number >> 8}.{number & 255}\n" for number in range(1, TARGETS + 1)))
    nobody.write_text("")
    request.write_bytes(REQUEST)
    program = zgrab2()
    out = {"longline": home / "ours", "zgrab2": home / "theirs"}
    with webserver() as port:
        commands: dict[str, list[str]] = {
            "longline": [
                sys.executable, "-m", "stages.cli.main", "bannergrab", "-p", str(port), "-d", str(request),
                "-c", str(CONCURRENT), "--per-prefix", "0",
            ],
            "zgrab2": [
                str(program), "banner", "-p", str(port), "--probe-file", str(request), "-s", str(CONCURRENT),
                "-b", str(nobody), "-l", "/dev/null", "-u", "/dev/null", "-m", "/dev/null",
            ],
        }  # fmt: skip
        idle = {
            name: min(cpu(argv, environment, nobody, out[name]) for _ in range(3)) for name, argv in commands.items()
        }
        costs: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(ROUNDS):
            for name, argv in commands.items():
                costs[name].append((cpu(argv, environment, targets, out[name]) - idle[name]) / TARGETS * 1e6)
        for name, word in (("longline", b'"outcome":"ok"'), ("zgrab2", b'"status":"success"')):
            good = sum(word in line for line in out[name].read_bytes().split(b"\n"))
            if good != TARGETS:
                raise SystemExit(f"{name}: {good} good answers of {TARGETS}")
    for name, values in costs.items():
        measured(f"{name}: CPU per banner", values, "us")
        measured(f"{name}: CPU of a start without targets", [idle[name]], "s")
    ratios = [a / b for a, b in zip(costs["longline"], costs["zgrab2"], strict=True)]
    best = min(costs["longline"]) / min(costs["zgrab2"])
    return measured("CPU per banner, longline / zgrab2", ratios, "", bar=CPU_BAR, at_most=True, judged=best)


def memory(home: Path, environment: Mapping[str, str]) -> bool:
    targets = home / "many"
    targets.write_text("".join(f"127.2.{number >> 8}.{number & 255}\n" for number in range(1, OPEN + 1)))
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.bench_banner", "silent", "0"], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    try:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        argv = [sys.executable, "-m", "tests.bench.bench_banner", "worker", str(targets), str(port)]
        done = subprocess.run(argv, cwd=ROOT, env=dict(environment), capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(done.stderr)
        got = json.loads(done.stdout)
    finally:
        server.kill()
        server.wait()
        if server.stdout is not None:
            server.stdout.close()
    more = (got["open"] - got["idle"]) / _MB
    small = measured("memory of an idle worker", [got["idle"] / _MB], "MB", bar=IDLE_BAR_MB, at_most=True)
    return measured(f"memory of {OPEN:,} open connections", [more], "MB", bar=OPEN_BAR_MB, at_most=True) and small


def main() -> int:
    environment = {**os.environ, "LONGLINE_CONFINE": "1"}
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        good = compare(home, environment)
        return 0 if memory(home, environment) and good else 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["worker"]:
        worker(*sys.argv[2:])
    elif sys.argv[1:2] == ["silent"]:
        silent_server(sys.argv[2])
    else:
        sys.exit(main())
