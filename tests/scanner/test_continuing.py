"""Answers become half-open connections. With packets: tests/integration/test_ways.py."""

from __future__ import annotations

import numpy as np
import pytest

from stages.core.records import Hit
from stages.net.continuation import Fixed
from stages.net.halfopen import HALFOPEN, row_of
from stages.net.halfopen import half_open as of_hit
from stages.scanner import probes
from stages.scanner.answers import RST, SYNACK
from stages.scanner.continuing import Continuing, half_open, own_wscale
from stages.scanner.filters import compile_filter
from stages.scanner.hits import WSCALES, HitSource, hit_of
from stages.scanner.rows import rows
from stages.scanner.said import Grabbing, Left, Said
from tests.servers.answers import array

SOURCE = HitSource("s", "tcp_synscan", host="here", syns=2, wscale=8)


def test_a_row_is_that_of_the_hit_which_the_answer_becomes() -> None:
    answers = array(
        {"position": 7}, {"wscale": -1, "mss": 0, "sack": 0, "has_ts": 1, "ts_val": 5, "ts_ecr": 2**32 - 1, "port": 81}
    )
    made = half_open(answers)
    assert made.dtype == HALFOPEN
    for row, answer in zip(made, rows(answers), strict=True):
        hit = hit_of(answer, SOURCE)
        assert row_of(of_hit(hit, tag=answer.position)).item() == row.item()
    assert isinstance(hit_of(rows(answers)[0], SOURCE), Hit)


@pytest.mark.parametrize("options", ["", "windows", "linux", "bsd", "smallest-probes"])
def test_the_scale_is_that_of_the_template(options: str) -> None:
    found = own_wscale(probes.get("tcp_synscan", options or None).template)
    assert (None if found < 0 else found) == WSCALES[options]


class Engine:
    """What `Continuing` asks of a Continuation: how many are under way, and the three calls."""

    def __init__(self, in_flight: int) -> None:
        self.in_flight = in_flight
        self.taken: list[int] = []
        self.ended: list[int] = []

    def put(self, half: np.ndarray) -> int:
        self.taken += half["tag"].tolist()
        return len(half)

    def abort_all(self) -> None:
        self.taken.clear()

    def reset(self, half: np.ndarray) -> int:
        self.ended += half["tag"].tolist()
        return len(half)


def continuing(in_flight: int, capacity: int) -> tuple[Continuing, Engine, list[Said]]:
    """Without sockets: what it decides is pure."""
    said: list[Said] = []
    made = Continuing.__new__(Continuing)
    engine = Engine(in_flight)
    made._grabbing = Grabbing(
        name="wait", topic="t", begin=lambda host, port: None, record=lambda conversation, hit: None,
        expired=lambda hit, ts: b"", fixed=Fixed(), capacity=capacity,
    )  # type: ignore[arg-type, return-value]  # fmt: skip
    made._engine, made._say, made._render = engine, said.append, lambda ended: ([], {})  # type: ignore[assignment]
    made.taken = made.refused = made.not_reset = 0
    made._wanted = None
    made._aborted = False
    return made, engine, said


def test_the_first_synack_of_a_target_is_continued_and_every_other_reset() -> None:
    made, engine, said = continuing(0, 10)
    made.put(array({"position": 1}, {"position": 2, "kind": RST}, {"position": 1, "repeat": 1, "dport": 40_001}))
    assert engine.taken == [1]
    assert engine.ended == [1]  # the second connection to that target; the engine knows that it is not the first
    assert said == []
    assert (made.taken, made.refused) == (1, 0)


def test_what_finds_no_room_is_reset_and_told() -> None:
    made, engine, said = continuing(8, 10)
    made.put(array(*({"position": at, "kind": SYNACK} for at in range(5))))
    assert engine.taken == [0, 1]
    assert engine.ended == [2, 3, 4]
    assert said == [Left([2, 3, 4])]
    assert (made.taken, made.refused) == (2, 3)
    made.put(array({"kind": RST}))  # nothing to go on with
    assert engine.taken == [0, 1]


def test_only_results_are_gone_on_with() -> None:
    made, engine, said = continuing(0, 10)
    made._wanted = compile_filter("sport = 22", "tcp_synscan")
    made.put(array({"position": 1, "port": 22}, {"position": 2, "port": 80}, {"position": 3, "port": 22}))
    assert engine.taken == [1, 3]
    assert engine.ended == [2]
    assert said == [Left([2])]
    assert (made.taken, made.refused) == (2, 0)


def test_aborted_it_goes_on_with_nothing_and_says_nothing_so_that_all_of_it_comes_again() -> None:
    made, engine, said = continuing(0, 10)
    made.put(array({"position": 1}))
    made.abort()
    made.put(array({"position": 2}, {"position": 3}))
    assert engine.taken == []
    assert engine.ended == [2, 3]
    assert said == []
