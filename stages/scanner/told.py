"""What a scan can say of itself at one moment: all that metadata, summary and status rows are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from stages.scanner.counting import Counts
from stages.scanner.prepare import Prepared
from stages.scanner.spec import ScanSpec
from stages.scanner.summary import Counters, Tally
from stages.scanner.zmap_settings import ZmapSettings

#: `reason` until the end.
RUNNING: Final = "running"


@dataclass(slots=True)
class Times:
    """Microseconds since the epoch; None: not yet."""

    send_start: int | None = None
    send_end: int | None = None
    recv_start: int | None = None
    recv_end: int | None = None


@dataclass(slots=True)
class Told:
    """One scan."""

    prepared: Prepared
    zmap: ZmapSettings
    spec: ScanSpec
    host: tuple[str, str]  #: its name, and the name in full
    log_name: str | None = None  #: file of the log
    default_mode: bool = True  #: ZMap's: none of -O, -f, --output-filter
    counters: Counters = field(default_factory=Counters)
    tally: Tally = field(default_factory=Tally)
    counts: Counts = field(default_factory=Counts)
    times: Times = field(default_factory=Times)
    position: int = 0
    reason: str = RUNNING
    sender: Mapping[str, object] = field(default_factory=dict)  #: what the engine says of itself
    first_scanned: str | None = None  #: address
    processors: int = 1

    @property
    def hit_rate(self) -> float:
        """Percent of probes that found something."""
        return 100 * self.tally.success / self.counters.sent if self.counters.sent else 0.0
