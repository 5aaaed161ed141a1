"""Plugins that decide which answers are results, beside the scan's own filter. Pure but for what they do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from stages.scanner.filters import Filter
from stages.scanner.plugins.base import Plugin
from stages.scanner.plugins.running import called
from stages.scanner.rows import Answer, rows

if TYPE_CHECKING:
    from stages.scanner.answers import AnswerArray
    from stages.scanner.filters.columns import Bools


def filtered(wanted: Filter, plugins: Sequence[Plugin]) -> Filter:
    """What the filter and all plugins let through. Asking raises PluginFailed."""
    judges = [each for each in plugins if type(each).keeps is not Plugin.keeps]
    if not judges:
        return wanted

    def judged(answers: Sequence[Answer]) -> Bools:
        chosen = np.ones(len(answers), np.bool_)
        for judge in judges:
            told = called(judge, "keeps", lambda plugin: np.fromiter(plugin.keeps(answers), np.bool_, len(answers)))
            chosen &= told
        return chosen

    def mask(array: AnswerArray) -> Bools:
        return wanted.mask(array) & judged(rows(array))

    return Filter(wanted.text, mask, lambda answer: wanted.keeps(answer) and bool(judged([answer])[0]))
