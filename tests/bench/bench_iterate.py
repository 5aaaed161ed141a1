"""How fast `longline iterate --binary` gives targets: `python -m tests.bench.bench_iterate`.

200 million targets of the IPv4 space to /dev/null and through a pipe to `wc -c`, with one thread and with two. The
program's start is taken off: it is measured by itself with one target. Exit code 1 below the bar, which is for one
thread to /dev/null, judged by the best round.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time

from tests.bench.rows import measured

TARGETS = 200_000_000
ROUNDS = 3
BAR = 50.0


def seconds(count: int, threads: int, *, pipe: bool) -> tuple[float, float]:
    """(wall, CPU) of one run of the program."""
    argv = [
        sys.executable, "-m", "stages.cli.main", "iterate", "--binary", "-p", "80", "-e", "1", "-n", str(count),
        "-T", str(threads),
    ]  # fmt: skip
    before, began = os.times(), time.monotonic()
    if pipe:
        with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
            counted = subprocess.run(["wc", "-c"], stdin=process.stdout, capture_output=True, check=True)
            assert int(counted.stdout) == 6 * count
    else:
        subprocess.run(argv, stdout=subprocess.DEVNULL, check=True)
    wall, after = time.monotonic() - began, os.times()
    return wall, sum(after[2:4]) - sum(before[2:4])


def main() -> int:
    start_wall, start_cpu = (min(column) for column in zip(*(seconds(1, 1, pipe=False) for _ in range(3)), strict=True))
    holds = True
    for threads, pipe in ((1, False), (2, False), (1, True), (2, True)):
        found = [seconds(TARGETS, threads, pipe=pipe) for _ in range(ROUNDS)]
        where = f"{'wc -c' if pipe else '/dev/null'}, -T {threads}"
        rates = [TARGETS / (wall - start_wall) / 1e6 for wall, _ in found]
        bar = BAR if threads == 1 and not pipe else None
        holds &= measured(f"targets enumerated to {where}", rates, "M/s", bar=bar, judged=max(rates))
        measured(f"the same by CPU time{', wc too' if pipe else ''}: {where}",
                 [TARGETS / (cpu - start_cpu) / 1e6 for _, cpu in found], "M/s")  # fmt: skip
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
