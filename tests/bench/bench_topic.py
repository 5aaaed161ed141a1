"""What a banner costs that comes through a scanner's own topic: `python -m tests.bench.bench_topic`.

`longline scan --hold` leaves the responder's connections open and writes their hits to Kafka, in batches of lines;
`longline bannergrab --via raw` goes on with them from that topic and writes its records to another. Its CPU, user and
system, from when it has gone on with one hit until the last record is acknowledged, for each banner; all of them must
be there. By turns with it zgrab2's `banner` asks an nginx on the loopback as in `bench_banner`, which has no hits to
read and writes to a file. What else runs on the machine only adds, so the ratio that counts is that of the best rounds.
Exit code 1 when a bar is missed.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from tests.bench.bench_banner import CONCURRENT, cpu
from tests.bench.bench_banner import TARGETS as DIALLED
from tests.bench.bench_continue import BASE, REQUEST, responder
from tests.bench.rows import measured
from tests.integration.topics import Log
from tests.integration.workers import Worker, until
from tests.servers.kafka import KafkaServer
from tests.servers.webserver import webserver
from tests.servers.zgrab2 import zgrab2

#: Hits of a round: 10.64.0.0/17.
PREFIX = f"{BASE >> 24}.{BASE >> 16 & 255}.0.0/17"
HITS = 1 << 15
#: One that comes before, in another network.
FIRST = f"{BASE >> 24}.{BASE >> 16 & 255}.128.0/32"
RATE = "20000"
#: Lines in one message, for fast scans.
LINES = "200"
ROUNDS = 4
BAR = 0.5
PATIENCE_S = 120.0


def spent(pid: int) -> float:
    """Seconds of CPU of a process so far (proc(5), stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def ours(log: Log, home: Path, request: Path, name: str) -> float:
    """Microseconds a banner."""
    topic = log.topics.hits_of(name)
    worker = Worker(
        log.net, home, "bannergrab", *log.words, "--via", "raw", "--scanner", name, "--per-prefix", "0",
        "--max-hit-age", "300", "-d", request, "-c", "20000", "--batch-lines", LINES, name=name,
    )  # fmt: skip
    worker.start()
    try:
        until(lambda: worker.ready or worker.process.poll() is not None, "bannergrab is ready", PATIENCE_S)
        if worker.process.poll() is not None:
            raise SystemExit(worker.log.read_text())
        for what in (FIRST, PREFIX):  # with the first hit it opens what goes on with hits
            before = spent(worker.process.pid)
            scan = Worker(
                log.net, home, "scan", "-p", "80", "--hold", "--scanner", name, "--hold-time", "1", "-r", RATE, "-c",
                "3", "--batch-lines", LINES, *log.words, what, name=f"scan-{name}-{what[-2:]}", metrics=False,
            )  # fmt: skip
            scan.start()
            code = scan.process.wait(PATIENCE_S)
            if code:
                raise SystemExit(f"the scan ended with {code}:\n{scan.log.read_text()}")
            until(lambda: log.behind("bannergrab", [topic]) == 0, "all hits are done", PATIENCE_S)
        used = spent(worker.process.pid) - before
    finally:
        worker.stop()
    lines = [line for value, _ in log.read(log.topics.banners) for line in value.splitlines()]
    good = sum(b'"via":"raw","outcome":"ok"' in line for line in lines)
    if good < HITS * 0.999:
        raise SystemExit(f"{good} banners of {HITS}:\n{worker.log.read_text()}")
    return used / HITS * 1e6


def main() -> int:
    environment = {**os.environ, "LONGLINE_CONFINE": "1"}
    costs: dict[str, list[float]] = {"longline": [], "zgrab2": []}
    with (
        tempfile.TemporaryDirectory() as folder, webserver() as port, responder(says={"close": 1.0}) as net,
        KafkaServer(Path(folder) / "kafka", net.joiner()) as server,
    ):  # fmt: skip
        home = Path(folder)
        targets, nobody, request, out = (home / name for name in ("targets", "nobody", "request", "out"))
        targets.write_text("".join(f"127.1.{number >> 8}.{number & 255}\n" for number in range(1, DIALLED + 1)))
        nobody.write_text("")
        request.write_bytes(REQUEST)
        theirs = [
            str(zgrab2()), "banner", "-p", str(port), "--probe-file", str(request), "-s", str(CONCURRENT),
            "-b", str(nobody), "-l", "/dev/null", "-u", "/dev/null", "-m", "/dev/null",
        ]  # fmt: skip
        idle = min(cpu(theirs, environment, nobody, out) for _ in range(3))
        for turn in range(ROUNDS + 1):
            took = ours(Log(net, server, f"t{turn}"), home, request, f"here{turn}")
            if turn:  # the first one compiles
                costs["longline"].append(took)
                costs["zgrab2"].append((cpu(theirs, environment, targets, out) - idle) / DIALLED * 1e6)
        good = sum(b'"status":"success"' in line for line in out.read_bytes().split(b"\n"))
        if good != DIALLED:
            raise SystemExit(f"zgrab2: {good} good answers of {DIALLED}")
    for name, values in costs.items():
        measured(f"{name}: CPU per banner", values, "us")
    ratios = [a / b for a, b in zip(costs["longline"], costs["zgrab2"], strict=True)]
    best = min(costs["longline"]) / min(costs["zgrab2"])
    holds = measured(
        "CPU per banner through a topic, longline / zgrab2", ratios, "", bar=BAR, at_most=True, judged=best
    )
    return 0 if holds else 1


if __name__ == "__main__":
    os.environ["LONGLINE_CONFINE"] = "1"
    sys.exit(main())
