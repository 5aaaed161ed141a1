"""Probes and results by the hour of the day, read off the scanner's metrics while a scan runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from stages.core.metrics import Metrics

#: Seconds between two looks: what comes between two belongs to the hour of the second.
TICK: Final = 1.0

_NUMBERS: Final = ("longline_scanner_probes_sent", "longline_scanner_results_written")


class Hourly:
    """Of one sweep, over several scans. `counts`: hour -> [probes, results]."""

    def __init__(self, hour: Callable[[], int]) -> None:
        """`hour`: the hour of the day now."""
        self.counts: dict[str, list[int]] = {}
        self.icmp = 0  #: ICMP errors that came
        self._hour = hour
        self._metrics = Metrics()
        self._before = [0, 0]

    def begin(self, metrics: Metrics) -> None:
        """Another scan, with numbers of its own."""
        self._metrics, self._before = metrics, [0, 0]

    def look(self) -> None:
        now = [self._total(name) for name in _NUMBERS]
        if now != self._before:
            hour = self.counts.setdefault(str(self._hour()), [0, 0])
            for at, (new, old) in enumerate(zip(now, self._before, strict=True)):
                hour[at] += new - old
            self._before = now

    def end(self) -> None:
        self.look()
        answers = self._find("longline_scanner_answers")
        self.icmp += 0 if answers is None else int(answers.value("icmp"))

    async def run(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            self.look()

    def _total(self, name: str) -> int:
        counter = self._find(name)
        return 0 if counter is None else int(counter.total)

    def _find(self, name: str) -> Any:
        """None before the scan has begun."""
        try:
            return self._metrics[name]
        except KeyError:
            return None
