"""How soon the first probe leaves, how exact two probes a target are in time, and what a minute at full rate takes:
`python -m tests.bench.bench_start`.

The scan is the command, with warm caches, against the responder, which sees each probe. Memory is the scanner's
resident set at full rate, a sample each second, from the tenth second on; a hundredth of the targets answers.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from stages.simnet.network import Simnet
from stages.simnet.responder_spec import Responder
from stages.simnet.spec import Spec
from tests.bench.rows import measured

ROUNDS = 5
BAR_FIRST_S = 1.5
#: Two probes a target take 2.00 to 2.05 times the time.
PAIR_BARS = (1.995, 2.05)
RATE = 20_000
PREFIX = "10.64.0.0/16"
LOOK_S = 0.002
MINUTE_S = 60
SETTLED_S = 10
#: Resident memory is counted in pages, and hits come by chance: so much is no growth.
GROWTH_MIB = 4.0


def scan(*words: str) -> list[str]:
    return [sys.executable, "-m", "stages.cli.main", "scan", "-p", "80", "-q", "-c", "0", "-o", "/dev/null", *words]


def timed(net: Simnet, argv: list[str]) -> tuple[float, float]:
    """(seconds until the first probe came, seconds from the first to the last)."""
    before = last = net.responder_counters()["syn"]
    begin = time.monotonic()
    first = moved = 0.0
    program = net.run(argv, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while program.poll() is None:
        now, seen = time.monotonic(), net.responder_counters()["syn"]
        if seen > before and not first:
            first = now
        if seen > last:
            moved, last = now, seen
        time.sleep(LOOK_S)
    if program.returncode or not first:
        raise SystemExit(f"{argv} ended with {program.returncode}, {last - before} probes seen")
    return first - begin, moved - first


def memory(net: Simnet) -> list[float]:
    """MiB, a sample a second."""
    program = net.run(scan("-r", "0", "-t", str(MINUTE_S), "10.0.0.0/8"), stderr=subprocess.DEVNULL)
    samples = []
    while program.poll() is None:
        lines = Path(f"/proc/{program.pid}/status").read_text().splitlines()
        samples += [int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS")]
        time.sleep(1.0)
    if program.returncode:
        raise SystemExit(f"the scan ended with {program.returncode}")
    return samples[SETTLED_S:-1]


def main() -> int:
    responder = Responder(("10.0.0.0/8",), {"bare": 0.01})
    with Simnet(Spec(local=("192.0.2.0/24",), servers=False, rules=False, responder=responder)) as net:
        timed(net, scan("-r", str(RATE), PREFIX))  # compiles
        first, single, double = [], [], []
        for _ in range(ROUNDS):
            soon, took = timed(net, scan("-r", str(RATE), PREFIX))
            first.append(soon)
            single.append(took)
            double.append(timed(net, scan("-r", str(RATE), "-P", "2", PREFIX))[1])
        good = measured("first probe after the start", first, "s", bar=BAR_FIRST_S, at_most=True, judged=min(first))
        ratios = [two / one for one, two in zip(single, double, strict=True)]
        best = min(double) / min(single)  # other programs on the machine only slow
        low, high = PAIR_BARS
        good &= measured("-P 2 / -P 1, time, at most", ratios, "", bar=high, at_most=True, judged=best)
        good &= measured("-P 2 / -P 1, time, at least", ratios, "", bar=low, judged=best)
        samples = memory(net)
        half = len(samples) // 2
        measured("resident memory at full rate", samples, "MiB")
        growth = max(samples[half:]) - max(samples[:half])
        good &= measured("its growth in half a minute", [growth], "MiB", bar=GROWTH_MIB, at_most=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
