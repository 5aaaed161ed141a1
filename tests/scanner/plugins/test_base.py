"""A plugin that does nothing, does nothing."""

from __future__ import annotations

from stages.scanner.answers import SYNACK
from stages.scanner.plugins.base import Plugin, Progress, Sent
from stages.scanner.rows import connected
from stages.scanner.spec import ScanSpec
from stages.scanner.summary import Counters, Summary


def test_every_method_is_optional(spec: ScanSpec, summary: Summary) -> None:
    plugin = Plugin()
    assert plugin.grab is None
    assert plugin.on_result([]) is None
    assert plugin.keeps([connected(0x0A000001, 80, SYNACK, ts=0, rtt=None)]) == [True]
    for told in (
        plugin.on_start(spec),  # type: ignore[func-returns-value]
        plugin.on_sent(Sent(0, 1, lambda first, last: (None, None))),  # type: ignore[arg-type, func-returns-value, return-value]
        plugin.on_progress(Progress(0, 1, 0, 0, Counters())),  # type: ignore[func-returns-value]
        plugin.on_end(summary),  # type: ignore[func-returns-value]
    ):
        assert told is None
