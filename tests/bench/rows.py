"""One row of the bench table: what was measured, its rounds, and the bar that it is held to.

A bench calls `measured` for each figure. It prints a line for who looks on, and where `BENCH_ROWS` names a file (as
`python -m tests.bench` does) it appends the row there as JSON, so that nothing has to be read out of printed text.
"""

from __future__ import annotations

import json
import os
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

#: Not `LONGLINE_...`: the settings would refuse it as an unknown key.
VARIABLE: Final = "BENCH_ROWS"


def measured(
    what: str,
    values: Sequence[float],
    unit: str,
    *,
    bar: float | None = None,
    at_most: bool = False,
    judged: float | None = None,
) -> bool:
    """Whether the bar holds: `judged` (else the median) is at least `bar`, or `at_most` it. Without a bar: True."""
    middle = statistics.median(values)
    figure = middle if judged is None else judged
    holds = bar is None or (figure <= bar if at_most else figure >= bar)
    row: dict[str, Any] = {
        "what": what, "unit": unit, "min": min(values), "median": middle, "max": max(values), "judged": judged,
        "bar": bar, "at_most": at_most, "holds": holds,
    }  # fmt: skip
    print(
        f"{what}: {number(row['min'])} / {number(middle)} / {number(row['max'])}{unit and ' '}{unit}{_of(row)}",
        flush=True,
    )
    if file := os.environ.get(VARIABLE):
        with Path(file).open("a") as out:
            out.write(json.dumps(row) + "\n")
    return holds


def _of(row: dict[str, Any]) -> str:
    best = f", judged by {number(row['judged'])}" if row["judged"] is not None else ""
    return f"{best} (bar {bar_of(row)}: {'holds' if row['holds'] else 'MISSED'})" if row["bar"] is not None else ""


def bar_of(row: dict[str, Any]) -> str:
    """`>= 1.2`, or nothing."""
    return "" if row["bar"] is None else f"{'<=' if row['at_most'] else '>='} {number(row['bar'])}"


def number(value: float) -> str:
    """Three significant digits below a thousand, whole and grouped above."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
