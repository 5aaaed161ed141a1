"""What a certificate costs, beside zgrab2's `tls` and our own `full` mode: `python -m tests.bench.bench_tls [ROUNDS]`.

One nginx on the loopback answers for all addresses of 127.1.0.0/16, with an RSA-2048 or a P-256 key under one
intermediate, with TLS 1.2 or TLS 1.3 only. `longline tlsgrab` in its modes `certificate` and `full` and zgrab2's `tls`
ask the same targets, 500 connections at once, and write their records to a file; they take turns. CPU is that of the
whole process, user and system, less that of the same program without a target, for each target. What else runs on the
machine only adds to it, so the ratio that counts is that of the best rounds. `full` and zgrab2 pay for a key exchange
and a signature, so they get fewer targets. The records of each round of `certificate` go on into the sink, over SQLite
and one store for all rounds, so that it knows the chain: what client and sink take together is held against zgrab2,
which only writes a file. Then two workers are compared with one against a responder in a namespace
of its own that says a recorded flight. It has no cores of its own, so the rates tell what the machine has left; what
tells whether workers scale is that a certificate costs no more with two, and that the cores do not stand idle. Then
5,000 handshakes are held in flight against a silent server, and the worker's whole memory is taken. Exit code 1 when a
bar is missed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Mapping
from ipaddress import IPv4Address
from pathlib import Path

from tests.bench.bench_banner import cpu, silent_server
from tests.bench.bench_continue import BASE, observed, responder
from tests.bench.rows import measured
from tests.servers.certificates import Identity, identity
from tests.servers.tlsserver import tlsserver
from tests.servers.zgrab2 import ROOT, zgrab2

#: Targets of a round.
CHEAP = 6_000
DEAR = 2_000
CONCURRENT = 500
ROUNDS = 5

#: (of zgrab2, of full), at most.
BARS = {"TLSv1.2": (1 / 8, 1 / 5), "TLSv1.3": (1 / 6, 1 / 4)}

#: Client and sink together beside zgrab2: the 120 us of the title where zgrab2 took 620 and 533 us.
TOGETHER_BARS = {"TLSv1.2": 120 / 620, "TLSv1.3": 120 / 533}

#: Targets of a round of workers.
MANY = 1 << 15
#: Of all workers: enough that it is not their number that bounds the rate.
AT_ONCE = 2_000
#: Of CPU for a certificate, two workers to one: cores share caches and memory, and another start is paid for.
WORKERS_BAR = 1.2
#: Of the two cores' time, in the busiest second of a round with two workers.
IDLE_BAR = 0.05
LOOK_S = 0.1

OPEN = 5_000
OPEN_BAR_MB = 150.0

_MB = 2**20


def targets(count: int, file: Path) -> Path:
    file.write_text("".join(f"127.1.{number >> 8}.{number & 255}\n" for number in range(1, count + 1)))
    return file


def longline(port: int, mode: str, *more: str, concurrent: int = CONCURRENT) -> list[str]:
    return [
        sys.executable, "-m", "stages.cli.main", "tlsgrab", "-p", str(port), "--mode", mode, "-c", str(concurrent),
        "--per-prefix", "0", *more,
    ]  # fmt: skip


def compare(home: Path, environment: Mapping[str, str], who: Identity, kind: str, version: str, rounds: int) -> bool:
    nobody = home / "nobody"
    nobody.write_text("")
    program = zgrab2()
    many, few = targets(CHEAP, home / "many"), targets(DEAR, home / "few")
    with tlsserver(who, version) as port:
        commands: dict[str, tuple[list[str], Path, int]] = {
            "certificate": (longline(port, "certificate"), many, CHEAP),
            "full": (longline(port, "full"), few, DEAR),
            "zgrab2": (
                [
                    str(program), "tls", "-p", str(port), "-s", str(CONCURRENT), "-b", str(nobody), "-l", "/dev/null",
                    "-u", "/dev/null", "-m", "/dev/null",
                ],
                few,
                DEAR,
            ),
        }  # fmt: skip
        sink = [sys.executable, "-m", "stages.cli.main", "sink", "--store", f"sqlite:{home}/{kind}-{version}.db"]
        out = {name: home / f"out-{name}" for name in commands}
        idle = {
            name: min(cpu(argv, environment, nobody, out[name]) for _ in range(3))
            for name, (argv, _, _) in commands.items()
        }
        store = min(cpu(sink, environment, nobody, home / "sink") for _ in range(3))
        costs: dict[str, list[float]] = {name: [] for name in (*commands, "sink")}
        for _ in range(rounds):
            for name, (argv, file, count) in commands.items():
                costs[name].append((cpu(argv, environment, file, out[name]) - idle[name]) / count * 1e6)
            stored = cpu(sink, environment, out["certificate"], home / "sink") - store
            costs["sink"].append(stored / CHEAP * 1e6)
        for name, (_, _, count) in commands.items():
            word = b'"status":"success"' if name == "zgrab2" else b'"outcome":"ok"'
            good = sum(word in line for line in out[name].read_bytes().split(b"\n"))
            if good != count:
                raise SystemExit(f"{name}: {good} good answers of {count}")
        leaf = json.loads(out["certificate"].open("rb").readline())
        if len(leaf["certificates"]) != len(who.chain) or leaf["version"] != version:
            raise SystemExit(f"not the chain, or not {version}: {leaf['version']}")
    what = f"{version} {kind}"
    for name, values in costs.items():
        measured(f"{what}: CPU per certificate, {name}", values, "us")
    together = [client + sink for client, sink in zip(costs["certificate"], costs["sink"], strict=True)]
    measured(f"{what}: CPU per certificate, client and sink together", together, "us")
    ratios = [a / b for a, b in zip(together, costs["zgrab2"], strict=True)]
    best = (min(costs["certificate"]) + min(costs["sink"])) / min(costs["zgrab2"])
    bar = TOGETHER_BARS[version]
    good = measured(f"{what}: client and sink / zgrab2", ratios, "", bar=bar, at_most=True, judged=best)
    for peer, bar in zip(("zgrab2", "full"), BARS[version], strict=True):
        ratios = [a / b for a, b in zip(costs["certificate"], costs[peer], strict=True)]
        best = min(costs["certificate"]) / min(costs[peer])
        good &= measured(f"{what}: certificate / {peer}", ratios, "", bar=bar, at_most=True, judged=best)
    return good


def jiffies() -> tuple[float, float]:
    """(idle, all) of the machine so far (proc(5), stat)."""
    fields = [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return float(fields[3] + fields[4]), float(sum(fields))


class Idle(threading.Thread):
    """The least share of the cores that stood idle in any second while it runs."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.least = 1.0
        self._over = threading.Event()

    def run(self) -> None:
        seen = deque([jiffies()], maxlen=round(1 / LOOK_S) + 1)
        while not self._over.wait(LOOK_S):
            seen.append(jiffies())
            (idle, every), (later_idle, later) = seen[0], seen[-1]
            if len(seen) == seen.maxlen and later > every:
                self.least = min(self.least, (later_idle - idle) / (later - every))

    def stop(self) -> float:
        self._over.set()
        self.join()
        return self.least


def workers(home: Path, rounds: int) -> bool:
    """One worker and two, asking a responder that takes some of the cores."""
    many, out = home / "many", home / "out"
    many.write_text("".join(f"{IPv4Address(BASE + number)}\n" for number in range(MANY)))
    rates: dict[int, list[float]] = {1: [], 2: []}
    costs: dict[int, list[float]] = {1: [], 2: []}
    left: list[float] = []
    with responder(says={"tls": 1.0}) as net:
        for round_ in range(rounds + 1):
            for number, figures in rates.items():
                argv = longline(443, "certificate", "--workers", str(number), concurrent=AT_ONCE)
                idle = Idle()
                idle.start()
                rate, spent, _ = observed(net, ["sh", "-c", f'exec "$@" <{many} >{out}', "sh", *argv], out)
                unused = idle.stop()
                good = out.read_bytes().count(b'"outcome":"ok"')
                if good != MANY:
                    raise SystemExit(f"{number} workers: {good} good answers of {MANY}")
                if round_:  # the first one compiles
                    figures.append(rate)
                    costs[number].append(spent / MANY * 1e6)
                    if number == 2:
                        left.append(unused)
    for number in rates:
        measured(f"certificates a second, workers: {number}", rates[number], "1/s")
        measured(f"CPU per certificate, start included, workers: {number}", costs[number], "us")
    measured("certificates a second, two workers / one", [b / a for a, b in zip(rates[1], rates[2], strict=True)], "")
    ratios = [two / one for one, two in zip(costs[1], costs[2], strict=True)]
    good = measured("CPU per certificate, two workers / one", ratios, "", bar=WORKERS_BAR, at_most=True)
    return good & measured("two workers: idle share of the cores", left, "", bar=IDLE_BAR, at_most=True)


def resident(pid: int) -> int:
    """Bytes of memory of a process (proc(5), statm)."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def memory(home: Path, environment: Mapping[str, str]) -> bool:
    """A worker with OPEN handshakes under way, each with its ClientHello said and no answer."""
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.bench_tls", "silent"], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    worker = None
    try:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        argv = longline(port, "certificate", "-r", "60", concurrent=OPEN)
        with targets(OPEN, home / "open").open("rb") as lines:
            worker = subprocess.Popen(
                argv, cwd=ROOT, env=dict(environment), stdin=lines, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            fds = Path(f"/proc/{worker.pid}/fd")
            end = time.monotonic() + 30
            while len(list(fds.iterdir())) < OPEN and time.monotonic() < end:
                time.sleep(0.1)
            if len(list(fds.iterdir())) < OPEN:
                raise SystemExit("the handshakes were not all in flight within 30 s")
            time.sleep(1.0)  # the last hellos go out
            whole = resident(worker.pid)
    finally:
        for process in (worker, server):
            if process is not None:
                process.kill()
                process.wait()
        if server.stdout is not None:
            server.stdout.close()
    return measured(
        f"memory of a worker with {OPEN:,} handshakes in flight", [whole / _MB], "MB", bar=OPEN_BAR_MB, at_most=True
    )


def main(rounds: int = ROUNDS) -> int:
    environment = {**os.environ, "LONGLINE_CONFINE": "1"}
    good = True
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        for kind in ("rsa", "ec"):
            for version in BARS:
                who = identity(kind=kind)
                good &= compare(home, environment, who, {"rsa": "RSA-2048", "ec": "P-256"}[kind], version, rounds)
        good &= workers(home, rounds)
        good &= memory(home, environment)
    return 0 if good else 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["silent"]:
        silent_server("0")
    else:
        sys.exit(main(*map(int, sys.argv[1:2])))
