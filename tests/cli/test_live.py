"""The live view: numbers of the metrics, as a person sees them."""

from __future__ import annotations

import asyncio
import io
from types import SimpleNamespace
from typing import Any

from rich.console import Console

from stages.cli.live import outcomes, render, show, value
from stages.cli.pipeline import State, progress
from stages.core.metrics import Metrics
from stages.core.outcome import Outcome
from stages.core.runner_metrics import RunnerMetrics
from stages.scanner.metrics import ScannerMetrics


class Runner:
    """What the view asks of a runner."""

    in_flight = 12
    waiting = 34
    summary = SimpleNamespace(done=3456)

    async def lag(self) -> int:
        return 789


def state() -> State:
    metrics = Metrics()
    scanner = ScannerMetrics(metrics)
    scanner.begin(1000, 0)
    scanner.sent.add(250)
    counted = RunnerMetrics("bannergrab", metrics)
    counted.done.add(30, Outcome.OK)
    counted.done.add(2, Outcome.REFUSED)
    runner: Any = Runner()
    return State(metrics, runners={"bannergrab": runner}, scanning=True)


def drawn(picture: object) -> str:
    out = io.StringIO()
    Console(file=out, width=120).print(picture)
    return out.getvalue()


def test_numbers_come_from_the_metrics() -> None:
    now = state()
    assert value(now, "longline_scanner_probes_sent") == 250
    assert value(now, "no_such_metric") == 0
    assert outcomes(now, "longline_bannergrab_records_done") == "ok 30  refused 2"


def test_a_picture_names_every_stage() -> None:
    text = drawn(render(state()))
    assert "scanner" in text
    assert "bannergrab" in text
    assert "3,456" in text
    assert "ok 30  refused 2" in text
    assert "34" in text
    assert text.splitlines()[0].strip() == "0% probed"
    assert text.splitlines()[1].startswith("stage")


def test_a_narrow_terminal_cuts_words_and_adds_no_lines() -> None:
    out = io.StringIO()
    Console(file=out, width=40).print(render(state()))
    assert len(out.getvalue().splitlines()) == 4, out.getvalue()


def test_the_line_of_the_log_says_the_same() -> None:
    assert progress(state()) == "scanner 250 sent; bannergrab 3456 done, 12 in flight, 0 behind"


def test_a_finished_bar_does_not_look_like_an_empty_one() -> None:
    pictures = []
    for position in (0, 1000):
        now = state()
        metric: Any = now.metrics["longline_scanner_position"]
        metric.set(position)
        out = io.StringIO()
        Console(file=out, width=80, force_terminal=True, color_system="standard").print(render(now))
        pictures.append(out.getvalue().splitlines()[0])
    assert pictures[0] != pictures[1]


async def test_it_draws_until_cancelled_and_asks_for_the_lag() -> None:
    out = io.StringIO()
    now = state()
    task = asyncio.create_task(show(now, Console(file=out, width=120)))
    while "bannergrab" not in now.lags:
        await asyncio.sleep(0.05)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert now.lags == {"bannergrab": 789}
    assert "3,456" in out.getvalue()
