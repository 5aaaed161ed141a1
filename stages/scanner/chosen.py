"""Which answers are results: the filter stands between an engine and the delivery.

It works on the engine's thread, on whole arrays (`Answers.chosen`); rows that are none of an array's become `LeftOut`.
Nothing is thrown away: what is left out is counted, and remembered as answered.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from stages.scanner.answers import Answers
from stages.scanner.rows import LeftOut

if TYPE_CHECKING:
    from stages.scanner.counting import Counts
    from stages.scanner.filters import Filter

T = TypeVar("T")


def choosing(wanted: Filter, put: Callable[[T], None], counts: Counts | None = None) -> Callable[[T], None]:
    """`put`, after every answer was judged by `wanted`, and counted. What is neither an array nor a list of rows goes
    as it is."""
    if wanted.everything and counts is None:
        return put

    def judged(answers: T) -> None:
        if counts is not None and isinstance(answers, np.ndarray | list):
            counts.add(answers)
        put(answers if wanted.everything else _judged(answers, wanted))

    return judged


def _judged(answers: T, wanted: Filter) -> T:
    if isinstance(answers, np.ndarray):
        seen = answers.view(Answers)
        seen.chosen = wanted.mask(seen)
        return seen  # type: ignore[return-value]
    if isinstance(answers, list):
        return [row if wanted.keeps(row) else LeftOut._make(row) for row in answers]  # type: ignore[return-value]
    return answers
