"""Memory and speed of exact dedup: `python -m tests.bench.bench_dedup`.

43 million answers, one in a hundred of 2^32 targets, go through `Seen("full")`: in the order in which answers come (a
window of positions moves on, shuffled inside), and in no order at all. Each in a process of its own, so that the peak
of its memory is its own; the time is the thread's CPU time. Exit code 1 when a bar is missed.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time

import numpy as np

from stages.scanner.dedup import Seen, keys_of
from tests.bench.rows import measured

ANSWERS = 43_000_000
SPACE = 1 << 32
ROUNDS = 3
BAR_SPEED, BAR_MEMORY = 5.0, 350.0

#: Answers of one block of the receive ring, about.
IN_ORDER, AT_ONCE = 2_000, 1 << 18


def one(kind: str) -> tuple[float, float]:
    """(millions of answers a second of CPU, peak of the memory in MB)."""
    rnd = np.random.default_rng(1)
    seen = Seen("full", 1)
    batch = IN_ORDER if kind == "order" else AT_ONCE
    wide = SPACE // (ANSWERS // batch)
    took, done = 0.0, 0
    success = np.ones(batch, np.bool_)
    while done < ANSWERS:
        if kind == "order":
            positions = np.uint64(done // batch * wide) + rnd.integers(0, wide, batch, dtype=np.uint64)
        else:
            positions = rnd.integers(0, SPACE, batch, dtype=np.uint64)
        keys = keys_of(positions, success)
        began = time.thread_time()
        seen.mark(keys)
        took += time.thread_time() - began
        done += batch
    return done / took / 1e6, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def main() -> int:
    if len(sys.argv) > 1:
        print(*one(sys.argv[1]))
        return 0
    holds = True
    for kind, words in (("order", "in the order of a scan"), ("random", "in no order")):
        argv = [sys.executable, "-m", "tests.bench.bench_dedup", kind]
        found = [
            tuple(map(float, subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()))
            for _ in range(ROUNDS)
        ]
        speeds, peaks = zip(*found, strict=True)
        holds &= measured(f"43 M answers remembered {words}", speeds, "M/s CPU", bar=BAR_SPEED)
        holds &= measured(f"peak memory of that process {words}", peaks, "MB", bar=BAR_MEMORY, at_most=True)
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
