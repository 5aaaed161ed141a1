"""What a scan would do: figures that can be counted."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.core.settings import ListSettings
from stages.scanner.explain import duration, explained, fullest_of, text
from stages.scanner.prepare import prepare
from stages.scanner.settings import ScannerSettings


def test_figures() -> None:
    settings = ScannerSettings(targets=("10.0.0.0/22",), target_ports="80,443", retries=1, rate=1000, shards=2, seed=1)
    prepared = prepare(settings, ListSettings(), now_us=0, resolve=None)
    found = explained(prepared, 60, 1000)
    assert (found.addresses, found.targets, found.packets) == (1024, 1024, 2048)
    assert found.seconds == 2.048
    assert found.bits == 1000 * 84 * 8
    assert found.fullest == {24: 256, 16: 1024}
    shown = text(prepared, found)
    assert "addresses     1,024\n" in shown
    assert "targets       1,024, shard 0 of 2\n" in shown
    assert "load per /24  up to 512 packets to 256 addresses, 250/s\n" in shown
    assert "time          2.0 s of sending, 8.0 s of listening\n" in shown


def test_without_a_limit_nobody_knows_how_long() -> None:
    settings = ScannerSettings(targets=("10.0.0.0/24",), target_ports="80")
    prepared = prepare(settings, ListSettings(), now_us=0, resolve=None)
    found = explained(prepared, 60, 0)
    assert math.isinf(found.seconds)
    assert "time          unknown of sending" in text(prepared, found)


@given(st.lists(st.tuples(st.integers(0, 2_000), st.integers(0, 300)), max_size=20), st.sampled_from((24, 28)))
def test_the_fullest_network_is_that_of_counting(pieces: list[tuple[int, int]], length: int) -> None:
    addresses = sorted({first + i for first, size in pieces for i in range(size)})
    ranges, counts = [], dict[int, int]()
    for address in addresses:
        if ranges and ranges[-1][1] == address - 1:
            ranges[-1] = (ranges[-1][0], address)
        else:
            ranges.append((address, address))
        counts[address >> 32 - length] = counts.get(address >> 32 - length, 0) + 1
    assert fullest_of(ranges, length) == max(counts.values(), default=0)


@pytest.mark.parametrize(
    ("seconds", "shown"), [(5, "5.0 s"), (90, "1.5 min"), (5400, "1.5 h"), (1e6, "11.6 d"), (math.inf, "unknown")]
)
def test_durations(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown
