"""What a scan says of itself beside its results: status rows, metadata, the summary; and --min-hitrate, which looks at
the same figures.

The session tells it what happens. Files are opened when it is made and changed from `begin` on. The metadata stand in
their file from the beginning, so that a scan that was killed has some; the last ones say how it ended.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from contextlib import suppress
from typing import Any, Final

from stages.core.errors import HostError
from stages.scanner.counting import Counts
from stages.scanner.engines import Engine
from stages.scanner.fields import EVERY, fields_of
from stages.scanner.metadata import metadata
from stages.scanner.mixed_answers import mixed_fields
from stages.scanner.prepare import Prepared
from stages.scanner.progress import Progress, Sample
from stages.scanner.results import to_stdout
from stages.scanner.side_file import SideFile
from stages.scanner.spec import ScanSpec
from stages.scanner.status_rows import HEADER, Look, Rows
from stages.scanner.summary import Counters, Tally
from stages.scanner.summary_lines import lines
from stages.scanner.told import RUNNING, Told
from stages.scanner.zmap_settings import ZmapSettings

#: `reason` of a scan that an error ended.
FAILED: Final = "failed"

#: Seconds between two rows.
ROW_SECONDS: Final = 1.0

#: Seconds of sending before the hit rate is judged, and for which it must stay too low, as in ZMap.
WARM_UP_SECONDS: Final = 5.0
TOO_LOW_SECONDS: Final = 5.0


class Reports:
    """Made for one run of a scan."""

    def __init__(self, prepared: Prepared, zmap: ZmapSettings, *, log_name: str | None = None) -> None:
        """Opens the files, and changes nothing in them. Raises UsageError when one cannot be written."""
        settings = prepared.settings
        plain = settings.output_module is None and settings.output_fields is None and settings.output_filter is None
        host = socket.gethostname()
        self.told = Told(
            prepared, zmap, prepared.spec, (host, host), log_name, plain, processors=os.cpu_count() or 1,
            tally=Tally(), position=prepared.checkpoint.position,
        )  # fmt: skip
        parts = prepared.parts
        fields = fields_of(parts[0].probe) if len(parts) == 1 else mixed_fields(EVERY, parts)
        self.told.counts.app = next((field.get for field in fields if field.name == "app_success"), None)
        self._metadata = _open("-m/--metadata-file", zmap.metadata_file)
        self._status = _open("-u/--status-updates-file", zmap.status_updates_file)
        self._rows: Rows | None = None
        self._progress: Progress | None = None
        self._row_at = 0.0
        self._sending_since: float | None = None
        self._low_since: float | None = None

    @property
    def counts(self) -> Counts | None:
        """To be fed with all answers; None: nobody wants them."""
        return self.told.counts if self._metadata is not None or self.told.zmap.summary else None

    def begin(self, spec: ScanSpec, engine: Engine) -> None:
        """The first engine stands; `spec` says with what. Raises HostError."""
        told = self.told
        told.spec, told.sender = spec, engine.describe()
        if self.counts is not None:
            told.first_scanned = _first(told.prepared)
        told.times.send_start = told.times.recv_start = _now_us()
        if self._status is not None:
            self._status.begin()
            self._status.write(HEADER)
        self._write_metadata(last=False)

    def look(self, now: float, engine: Engine, counters: Counters, tally: Tally, position: int) -> None:
        """Called some times a second. Raises HostError when the hit rate is too low."""
        told = self.told
        told.counters, told.tally, told.position = counters, tally, position
        sample = Sample(now, counters.sent, tally.success, counters.ring_drops, position)
        look = Look(now, counters.sent, tally.success, counters.received, counters.ring_drops, counters.send_failures)
        if self._progress is None or self._rows is None:
            settings = told.prepared.settings
            self._progress = Progress(
                sample, last=told.spec.last, cooldown=settings.cooldown_time, max_runtime=settings.max_runtime
            )
            self._rows, self._row_at = Rows(look), now + ROW_SECONDS
        if engine.sending:
            told.times.send_end = None
        elif told.times.send_end is None:
            told.times.send_end = _now_us()
            self._progress.sent_all(now)
        if self._status is not None and now >= self._row_at:
            part, left = self._progress.expect(sample)
            threads = told.prepared.settings.sender_threads if engine.sending else 0
            self._status.write(self._rows.row(look, us=_now_us(), part=part, left=left, threads=threads))
            self._row_at += ROW_SECONDS
        self._judge(now, engine)

    def end(self, counters: Counters, tally: Tally, position: int, reason: str) -> None:
        """The scan is over, however it ended. Raises HostError."""
        told = self.told
        told.counters, told.tally, told.position = counters, tally, position
        if reason != FAILED or told.reason == RUNNING:
            told.reason = reason
        told.times.recv_end = _now_us()
        if told.times.send_end is None:
            told.times.send_end = told.times.recv_end
        self._write_metadata(last=True)
        if told.zmap.summary:
            # Nothing but data on standard output, where there are data.
            out = sys.stderr if to_stdout(told.prepared.settings) else sys.stdout
            with suppress(OSError):
                out.write("".join(f"{line}\n" for line in lines(told)))
                out.flush()

    def close(self) -> None:
        for file in (self._metadata, self._status):
            if file is not None:
                file.close()

    def _judge(self, now: float, engine: Engine) -> None:
        least, told = self.told.zmap.min_hitrate, self.told
        if not least or not engine.sending or not told.counters.sent:
            self._low_since = None
            return
        if self._sending_since is None:
            self._sending_since = now
        if now - self._sending_since < WARM_UP_SECONDS or told.hit_rate >= least:
            self._low_since = None
        elif self._low_since is None:
            self._low_since = now
        elif now - self._low_since >= TOO_LOW_SECONDS:
            told.reason = "min-hitrate"
            raise HostError(
                f"the hit rate is {told.hit_rate:.4f}%, and stays below {least:g}% (--min-hitrate): given up"
            )

    def _write_metadata(self, *, last: bool) -> None:
        if self._metadata is not None:
            self._metadata.replace(json.dumps(metadata(self.told), default=_plain) + "\n", last=last)


def _open(option: str, name: str | None) -> SideFile | None:
    return None if name is None else SideFile(option, name)


def _first(prepared: Prepared) -> str | None:
    """The address of the first target in the scan's order."""
    if not prepared.slices:
        return None
    from stages.scanner.connect import Ipv4Targets, Ipv6Targets
    from stages.scanner.permutation import Permutation

    part, v6 = prepared.slices[0], prepared.targets.v6
    targets = Ipv4Targets(prepared.targets.space(prepared.ports)) if part.version == 4 else Ipv6Targets(v6)
    index = Permutation(targets.size, prepared.spec.seed).one(part.shard + part.first * part.shards)
    return targets.look_up([index])[0][1]


def _plain(value: Any) -> Any:
    return str(value)


def _now_us() -> int:
    return time.time_ns() // 1_000
