from __future__ import annotations

from itertools import count

import numpy as np
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether

from stages.net.ring import COLUMNS, MAX_PACKETS, packets
from stages.scanner import benchmark


def clock() -> object:
    """A tenth of a second for each look."""
    ticks = count()
    return lambda: next(ticks) / 10


def test_figures_are_items_over_time() -> None:
    # Looks at 0.1, 0.2 ... 0.5 s: four turns are done when half a second has passed.
    assert benchmark._rate(lambda turn: 10, 0.5, clock()) == 40 / 0.5  # type: ignore[arg-type]
    assert benchmark.frames(0.0) > 0
    assert benchmark.answers(0.0) > 0
    assert benchmark.filtered(0.0) > 0


def test_the_answers_are_those_of_an_open_port() -> None:
    builder, _ = benchmark._builder()
    builder.fill(0, 4)
    probes = [builder.frame(row) for row in range(4)]
    answers = [benchmark.synack(probe) for probe in probes]
    for probe, answer in zip(map(Ether, probes), map(Ether, answers), strict=True):
        again = answer.copy()
        del again[IP].chksum
        del again[TCP].chksum
        assert bytes(Ether(bytes(again))) == bytes(answer)
        assert (answer[IP].src, answer[TCP].ack) == (probe[IP].dst, (probe[TCP].seq + 1) % 2**32)
    table = np.zeros((MAX_PACKETS, COLUMNS), np.int64)
    assert packets(benchmark.block_of(answers), table) == (4, 4)
