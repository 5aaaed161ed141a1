"""How fast frames are built, by one thread, and how fast targets are enumerated: `python -m tests.bench.bench_frames`.

A frame is made whole: permutation, address and port, SipHash, sequence number, source port, both checksums. The spaces:

    plain     the IPv4 space less what is reserved, one port
    shard     the same, one of 7 shards
    wide      the same with all 65,536 ports: 2^48 targets
    ranges    5,000 ranges of it, three ports
    list      two million addresses in no pattern

The time is the thread's own CPU time: what else the machine does shows less in it. `ratio` is to `plain` in the same
round; judged is its median. Exit code 1 below the bars.
"""

from __future__ import annotations

import sys
import time

import numpy as np

from stages.scanner import order as orders
from stages.scanner import probes
from stages.scanner.frames import FrameBuilder
from stages.scanner.permutation import Permutation
from stages.scanner.rate import MAX_BATCH
from stages.scanner.space import Space
from tests.bench.rows import measured

FRAMES = 1 << 21
ROUNDS = 7
BAR, BAR_RATIO = 25.0, 0.8

#: About what is left of IPv4 without the special-purpose ranges.
PUBLIC = [
    (1 << 24, (10 << 24) - 1),
    (11 << 24, (100 << 24) - 1),
    (101 << 24, (127 << 24) - 1),
    (128 << 24, (224 << 24) - 1),
]


def spaces() -> dict[str, tuple[Space, int]]:
    """name -> (space, shards)."""
    cuts = np.sort(np.random.default_rng(3).choice(223 << 16, 10_000, replace=False)) * 256 + (1 << 24)
    ranges = list(zip(cuts[::2].tolist(), (cuts[1::2] - 1).tolist(), strict=True))
    listed = np.unique(np.random.default_rng(4).integers(1 << 24, 223 << 24, 2_000_000, dtype=np.uint32))
    return {
        "plain": (Space.build(PUBLIC, (443,)), 1),
        "shard": (Space.build(PUBLIC, (443,)), 7),
        "wide": (Space.build(PUBLIC, range(65_536)), 1),
        "ranges": (Space.build(ranges, (80, 443, 8080)), 1),
        "list": (Space.of_list(listed, (443,)), 1),
    }


def builder(space: Space, shards: int) -> FrameBuilder:
    permutation = Permutation(space.size, 1)
    return FrameBuilder(
        space, permutation, probes.get("tcp_synscan"), bytes(range(16)), source_ips=(0xC6336402,),
        source_ports=(32768, 61000), batch=MAX_BATCH, order=orders.build(permutation, space, shards // 2, shards),
    )  # fmt: skip


def rate(rows: FrameBuilder, first: int) -> float:
    """Millions of frames a second of CPU time."""
    began = time.thread_time()
    for at in range(first, first + FRAMES, MAX_BATCH):
        rows.fill(at, MAX_BATCH)
    return FRAMES / (time.thread_time() - began) / 1e6


def main() -> int:
    builders = {name: builder(*space) for name, space in spaces().items()}
    for rows in builders.values():
        rows.fill(0, MAX_BATCH)
    rates: dict[str, list[float]] = {name: [] for name in builders}
    for turn in range(ROUNDS):
        for name, rows in builders.items():
            rates[name].append(rate(rows, 0 if name == "list" else turn * FRAMES))
    holds = measured("frames built, one core [plain]", rates["plain"], "M/s", bar=BAR, judged=max(rates["plain"]))
    for name in list(builders)[1:]:
        ratios = [one / plain for one, plain in zip(rates[name], rates["plain"], strict=True)]
        measured(f"frames built, one core [{name}]", rates[name], "M/s")
        holds &= measured(f"ratio of {name} to plain", ratios, "", bar=BAR_RATIO if name != "list" else None)
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
