"""--status-updates-file: a row of CSV a second, under ZMap's header, with as many cells as that. Pure.

(ZMap 4 writes one cell too many before `sendto-fail-last-one-sec`.) Rates are of the last second and of the whole.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Final

HEADER: Final = (
    "real-time,time-elapsed,time-remaining,percent-complete,hit-rate,active-send-threads,sent-total,"
    "sent-last-one-sec,sent-avg-per-sec,recv-success-total,recv-success-last-one-sec,recv-success-avg-per-sec,"
    "recv-total,recv-total-last-one-sec,recv-total-avg-per-sec,pcap-drop-total,drop-last-one-sec,drop-avg-per-sec,"
    "sendto-fail-total,sendto-fail-last-one-sec,sendto-fail-avg-per-sec\n"
)

#: The shortest time that a rate is made over: two looks at one clock may be one.
_SHORTEST: Final = 1e-3


@dataclass(frozen=True, slots=True)
class Look:
    """Totals at one moment."""

    now: float  #: seconds, of any one clock
    sent: int = 0
    success: int = 0  #: unique
    received: int = 0
    drops: int = 0
    failures: int = 0


class Rows:
    """Turns looks into rows."""

    def __init__(self, start: Look) -> None:
        self._start = start
        self._before = start

    def row(self, look: Look, *, us: int, part: float, left: float | None, threads: int) -> str:
        """`us`: microseconds since the epoch; `part`: share done; `left`: seconds, None: unknown."""
        start, before = self._start, self._before
        age, step = max(look.now - start.now, _SHORTEST), max(look.now - before.now, _SHORTEST)
        self._before = look
        moment = dt.datetime.fromtimestamp(us // 1_000_000, dt.UTC)
        sent = look.sent - start.sent
        hits = 100 * (look.success - start.success) / sent if sent else 0.0
        cells = [
            f"{moment:%Y-%m-%d %H:%M:%S}", f"{look.now - start.now:.0f}", "" if left is None else f"{left:.0f}",
            f"{100 * part:.6f}", f"{hits:.6f}", str(threads),
        ]  # fmt: skip
        for name in ("sent", "success", "received", "drops", "failures"):
            now, last, first = getattr(look, name), getattr(before, name), getattr(start, name)
            cells += [str(now), f"{(now - last) / step:.0f}", f"{(now - first) / age:.0f}"]
        return ",".join(cells) + "\n"
