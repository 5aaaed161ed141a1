"""The live view of `longline run` on a terminal, fed from the same metrics that Prometheus scrapes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from stages.core.errors import LonglineError

if TYPE_CHECKING:
    from stages.cli.pipeline import State

#: Seconds between two pictures.
REFRESH: Final = 0.5

#: Characters of the progress bar; a narrower terminal has a shorter one.
BAR: Final = 60


def value(state: State, name: str) -> float:
    """The number of one metric; 0 while it does not exist yet."""
    try:
        metric: Any = state.metrics[name]
    except KeyError:
        return 0.0
    return float(metric.total if hasattr(metric, "total") else metric.value)


def outcomes(state: State, name: str) -> str:
    """`ok 120  reset 3`: the outcomes that occurred, most frequent first."""
    try:
        metric: Any = state.metrics[name]
    except KeyError:
        return ""
    seen = sorted(((int(n), word) for word, n in metric.cells.items() if n), reverse=True)
    return "  ".join(f"{word} {n:,}" for n, word in seen)


def short(words: str) -> Text:
    """One line, cut where the terminal ends: a picture higher than the terminal could not be drawn over."""
    return Text(words, no_wrap=True, overflow="ellipsis")


def render(state: State) -> Group:
    """One picture."""
    targets, position = value(state, "longline_scanner_targets"), value(state, "longline_scanner_position")
    sent, rate = value(state, "longline_scanner_probes_sent"), value(state, "longline_scanner_rate_pps")
    answers = outcomes(state, "longline_scanner_answers")
    table = Table(box=None, pad_edge=False)
    for column, justify in (("stage", "left"), ("done", "right"), ("in flight", "right"), ("behind", "right")):
        table.add_column(column, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    table.add_column("waiting", justify="right")
    table.add_column("outcomes")
    table.add_row("scanner", f"{int(sent):,}", f"{rate:,.0f}/s" if state.scanning else "", "", "", short(answers))
    for name, runner in state.runners.items():
        words = outcomes(state, f"longline_{name}_records_done") if name != "sink" else ""
        summary = runner.summary
        behind = f"{state.lags.get(name, 0):,}"
        table.add_row(name, f"{summary.done:,}", f"{runner.in_flight:,}", behind, f"{runner.waiting:,}", short(words))
    bar = ProgressBar(total=max(targets, 1), completed=position, width=BAR, finished_style="green")
    probed = Table.grid(padding=(0, 1))  # a bar alone does not end its line
    probed.add_row(bar, f"{position / max(targets, 1):.0%} probed")
    return Group(probed, table)


async def show(state: State, console: Console | None = None) -> None:
    """Draw until cancelled."""
    with Live(render(state), console=console or Console(stderr=True), auto_refresh=False, transient=False) as live:
        try:
            while True:
                await asyncio.sleep(REFRESH)
                for name, runner in state.runners.items():
                    try:
                        state.lags[name] = await runner.lag()
                    except LonglineError:
                        state.lags.pop(name, None)
                live.update(render(state), refresh=True)
        finally:
            live.update(render(state), refresh=True)
