"""One run of a scan: the engines one after the other, the records of its start and end, the checkpoint."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO

from stages.core.bus.base import Publisher, Topics
from stages.core.descriptors import fit_concurrency, raise_descriptor_limit
from stages.core.errors import LonglineError, ReaderGone, UsageError
from stages.core.logs import tell
from stages.core.records import Scan
from stages.core.whoami import operator
from stages.net.privileges import Setup
from stages.scanner import checkpoint as checkpoints
from stages.scanner import outputs
from stages.scanner.choice import open_engine
from stages.scanner.chosen import choosing
from stages.scanner.connect import ConnectEngine
from stages.scanner.delivery import Delivery
from stages.scanner.destination import BusDestination, Destination, FileDestination
from stages.scanner.dialled import Dialled
from stages.scanner.engines import Engine
from stages.scanner.hits import WSCALES, HitLines, HitSource
from stages.scanner.metrics import ScannerMetrics
from stages.scanner.mixed_answers import lines_of
from stages.scanner.plugins.base import Plugin, Progress
from stages.scanner.plugins.filtering import filtered
from stages.scanner.plugins.running import Plugins
from stages.scanner.plugins.sent import finder
from stages.scanner.prepare import CONNECT_PROBE, Prepared, Slice, format_of
from stages.scanner.probes import entry
from stages.scanner.reports import FAILED, Reports
from stages.scanner.results import open_results
from stages.scanner.rows import Answer
from stages.scanner.said import Onward, going_on
from stages.scanner.seenlog import SeenLog, key_of
from stages.scanner.setup_lines import of_lists
from stages.scanner.speech import Speech
from stages.scanner.steering import rate_signals
from stages.scanner.summary import Summary, Tally, added
from stages.scanner.updates import Updates
from stages.scanner.watch import State, Watch
from stages.scanner.writer import Writer

if TYPE_CHECKING:
    from stages.scanner.engine import GoOn

log = logging.getLogger("longline.scanner.session")

#: Seconds that a stopped scan goes on trying a log that is out of reach, or full, and takes nothing meanwhile.
STOP_PATIENCE: Final = 10.0

#: The output module whose lines are records, as those of conversations are.
_BOTH: Final = "hits"

#: Seconds between two looks at the lease on the kernel's silence while it is all that is waited for.
_RENEW_SECONDS: Final = 1.0

#: What ends a scan before all that was received is written: then its last position is not settled.
_CUT_OFF: Final = ("max-results", "reader-gone")


class Session:
    """Made for one `run`."""

    def __init__(
        self,
        prepared: Prepared,
        *,
        publisher: Publisher | None,
        topics: Topics,
        stop: asyncio.Event,
        metrics: ScannerMetrics,
        status: TextIO | None,
        checkpoint: Path | None,
        resumed: bool,
        setup: Setup | None = None,
        onward: Onward | None = None,
        reports: Reports | None = None,
        plugins: Sequence[Plugin] = (),
        into: Callable[[HitLines], Destination] | None = None,
    ) -> None:
        """Opens the output files, and changes nothing in them. Raises UsageError when they cannot be written."""
        settings, spec = prepared.settings, prepared.spec
        self._prepared = prepared
        self._stop = stop
        self._metrics = metrics
        self._status = status
        self._path = checkpoint
        self._resumed = resumed
        self._setup = setup
        self._reports = reports
        self._filter = filtered(prepared.filter, plugins)
        self._plugins = Plugins(plugins, finder(prepared)) if plugins else None
        self._tally = Tally()
        self._state = State(position=prepared.checkpoint.position)
        self._held = prepared.checkpoint
        self._seen: SeenLog | None = None
        self._engines: dict[str, None] = {}
        self._moved = (0.0, -1)  # when a stopped scan last saw the log move, and results written until then
        self._delivery: Delivery | None = None
        transport = entry(prepared.parts[0].probe).transport
        self._onward = onward = onward if onward is not None else Onward()
        self._source = HitSource(
            spec.scan, spec.probe, transport, spec.vantage, socket.gethostname(), settings.attempts,
            WSCALES.get(spec.probe_args) if spec.probe == CONNECT_PROBE else None,
        )  # fmt: skip
        hits = lines_of(HitLines(self._source), prepared.parts)
        self._into = None if into is None else into(hits)
        self._speech: Speech | None = None
        self._bus: BusDestination | None = None
        if publisher is not None:
            self._bus = BusDestination(
                publisher, topics, hits, on_retry=metrics.retries.add, give_up=self._out_of_patience
            )
            if onward.grabbing is not None:
                self._bus.topic_of_lines = onward.grabbing.topic
            if onward.hold is not None:
                self._bus.topic_of_hits = topics.hits_of(onward.scanner)
        wanted = format_of(prepared, hits)
        self._file = open_results(settings, self._module, wanted, published=publisher is not None)
        self._updates = Updates(self._file)
        self._lines: FileDestination | None = None  #: a file that has banners only
        if onward.output is not None and not (self._module == _BOTH and onward.output == settings.output_file):
            self._lines = FileDestination.open(onward.output, outputs.get("null")(wanted), "--grab-output")

    @property
    def _module(self) -> str:
        """The output module of hits. What is said comes as JSON Lines, so hits do too where nothing else is asked."""
        asked, onward = self._prepared.settings.output_module, self._onward
        if onward.grabbing is None or onward.output is not None:
            return asked or "csv"
        if asked in outputs.MASSCAN:
            return asked
        if asked not in (None, _BOTH) and self._bus is None:
            raise UsageError("-O", asked, "has no place for banners: name a file (--grab-output), or leave -O out")
        return asked or _BOTH

    async def run(self) -> Summary:
        """To the end of the scan, or until it is stopped. Raises LonglineError."""
        started = _now_us()
        self._metrics.begin(self._prepared.spec.last, self._prepared.settings.rate)
        writer: Writer | None = None
        task: asyncio.Task[None] | None = None
        delivery = self._delivery = Delivery(asyncio.get_running_loop())
        try:
            if self._enough:
                self._state.reason = "max-results"
            for part in [] if self._enough else self._prepared.slices:
                engine = await self._open(part)
                try:
                    if self._setup is not None:
                        self._setup.close()  # IPv4 comes first: whatever follows needs no capabilities
                    self._say(engine, part)
                    if task is None:
                        writer = await self._begin(engine)
                        task = asyncio.create_task(writer.run(), name="scanner writer")
                    self._dial_where(engine)
                    assert writer is not None
                    await self._probe(engine, part, task, writer)
                finally:
                    await engine.close()
                if self._state.reason != "complete":
                    break
            if task is not None:
                if self._speech is not None:
                    await self._last_word(task, self._speech)
                if self._state.reason not in _CUT_OFF and not (self._speech is not None and self._state.ordered):
                    delivery.mark(self._state.position)
                delivery.close()
                await self._written(task)
            if writer is not None and writer.enough:
                self._state.reason = "max-results"
                await self._settle(0)  # no further, but what was written counts
            summary = self._summary(started)
            if task is not None:
                await self._updates.end(self._told)
            if self._plugins is not None and task is not None:
                await self._plugins.end(self._state.position, summary)
            if not self._prepared.checkpoint.finished:
                await self._end(summary)
            return summary
        finally:
            self._metrics.end()
            if self._reports is not None:
                failed = sys.exc_info()[0] is not None and self._state.reason == "complete"
                reason = FAILED if failed else self._state.reason
                self._reports.end(self._state.counters, self._tally, self._state.position, reason)
            if task is not None and not task.done():
                task.cancel()
                with suppress(asyncio.CancelledError, LonglineError):
                    await task
            if self._speech is not None:
                await self._speech.close()
            if self._plugins is not None:
                await self._plugins.close()
            for file in (self._file, self._lines):
                if file is not None:
                    await file.close()
            if self._seen is not None:
                self._seen.close()

    def halt(self) -> None:
        """Send nothing more, from now on; the scan ends after its cooldown, and can be resumed. In the loop."""
        self._state.ordered = True
        if self._speech is not None:
            self._speech.cut_off()

    @property
    def _enough(self) -> bool:
        """Whether earlier runs have written as many results as the scan may."""
        most = self._prepared.settings.max_results
        return most is not None and self._written_before >= most

    @property
    def _written_before(self) -> int:
        """Results of earlier runs."""
        return self._prepared.checkpoint.counters.get("written", 0)

    async def _open(self, part: Slice) -> Engine:
        delivery, onward = self._delivery, self._onward
        assert delivery is not None
        go_on: GoOn | None = None
        if onward.grabbing is not None and not onward.selected:
            secret, wanted = self._prepared.checkpoint.secret, self._filter
            go_on = partial(going_on, onward.grabbing, self._source, secret=secret, say=delivery.say, wanted=wanted)
        return await open_engine(
            self._prepared,
            part,
            choosing(self._filter, delivery.put, None if self._reports is None else self._reports.counts),
            self._setup,
            hold=onward.hold is not None,
            go_on=go_on,
            syns=None if onward.syns is None else 1,  # each try of an ordinary connection is a probe
            packets=self._file.raw if isinstance(self._file, FileDestination) else None,
        )

    def _dial_where(self, engine: Engine) -> None:
        """Hits are dialled where the engine cannot go on with what it opens. Said once."""
        onward, speech, delivery = self._onward, self._speech, self._delivery
        if onward.hold is not None and engine.not_quiet is not None:
            log.warning("connections are not held, who takes the hits will have to dial: %s", engine.not_quiet)
        if onward.grabbing is None or speech is None or engine.continuing is not None or speech.dialled is not None:
            return
        assert delivery is not None
        if not onward.selected:
            log.warning("hits are dialled anew (via connect): %s", engine.not_quiet)
        speech.dialled = Dialled(
            onward.grabbing,
            self._source,
            delivery.say,
            capacity=fit_concurrency(self._prepared.settings.connections, raise_descriptor_limit()[0]),
            blocked=self._prepared.targets.policy.blocked,
        )

    async def _last_word(self, task: asyncio.Task[None], speech: Speech) -> None:
        """Until every conversation has ended, and stands in the delivery; or the writer has given up."""
        delivery = self._delivery
        assert delivery is not None
        for what in (delivery.meet().wait(), speech.drained()):
            waiting = asyncio.ensure_future(what)
            await asyncio.wait((waiting, task), return_when=asyncio.FIRST_COMPLETED)
            if not waiting.done():
                waiting.cancel()

    async def _keep(self, engine: Engine) -> None:
        """The kernel stays quiet for a while after the last answer, until another process has joined in that. Who reads
        from a pipe has done so, or is told by its end."""
        seconds = self._onward.hold
        if seconds is None or engine.continuing is not None or engine.not_quiet is not None:
            return
        if self._file is not None and self._file.pipe:
            return
        log.info("connections are held for %.0f s", seconds)
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not self._stop.is_set() and not self._state.ordered:
            engine.renew()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), min(left, _RENEW_SECONDS))

    async def _probe(self, engine: Engine, part: Slice, task: asyncio.Task[None], writer: Writer) -> None:
        """Run one engine to its end."""
        delivery = self._delivery
        assert delivery is not None

        def pause() -> None:
            self._metrics.paused.set(1)
            log.info("sending pauses: those who take the hits are behind")
            engine.pause()

        def resume() -> None:
            self._metrics.paused.set(0)
            log.info("sending goes on")
            engine.resume()

        delivery.steer(pause, resume)
        watch = Watch(
            self._prepared,
            part,
            engine,
            delivery,
            state=self._state,
            tally=self._tally,
            metrics=self._metrics,
            status=self._status,
            marks=self._path is not None,
            report=self._progress if self._bus is not None else None,
            ripe=self._speech is None,
            enough=lambda: writer.enough,
            on_look=self._look,
        )
        with rate_signals(engine):
            await watch.run(self._stop, task)
            await self._keep(engine)
        if task.done():
            await self._written(task)
            if self._state.reason == "complete":
                self._state.reason = "max-results"

    # -- the beginning and the end --------------------------------------------------------------------------------

    async def _begin(self, engine: Engine) -> Writer:
        """The first engine stands: now files may be changed and records published."""
        settings = self._prepared.settings
        spec = self._prepared.spec.model_copy(
            update={
                "engine": engine.name,
                "rate": engine.rate,
                "sender": engine.describe() | self._going_on,
                "operator": self._prepared.spec.operator or operator(),
            }
        )
        if self._path is not None:
            if self._prepared.known is not None and engine.name != ConnectEngine.name:  # a connection is answered once
                self._seen = await asyncio.to_thread(SeenLog, self._prepared.known)
            await asyncio.to_thread(checkpoints.write, self._path, self._held)
        if self._file is not None:
            await self._file.begin(append=self._resumed or settings.append_output)
        if self._lines is not None:
            await self._lines.begin(append=self._resumed)
        if self._reports is not None:
            self._reports.begin(spec, engine)
        if self._plugins is not None:
            await self._plugins.begin(spec, self._held.position)
        await self._record("start", spec=spec.record())
        assert self._delivery is not None
        destinations: list[Destination] = [
            each for each in (self._bus, self._file, self._into, self._plugins) if each is not None
        ]
        if self._onward.grabbing is not None:
            self._speech = Speech(
                self._onward.grabbing, self._spoken_to(), tally=self._tally, metrics=self._metrics, on_said=self._said,
                selected=self._onward.selected,
            )  # fmt: skip
            if self._state.ordered:
                self._speech.cut_off()
        return Writer(
            self._delivery,
            destinations,
            publish="all",  # of what the filter has chosen
            max_results=None
            if settings.max_results is None
            else settings.max_results - self._held.counters.get("written", 0),
            tally=self._tally,
            metrics=self._metrics,
            on_settled=self._settle,
            on_written=self._remember,
            speech=self._speech,
            follow=self._plugins.chosen if self._plugins is not None and self._onward.selected else None,
        )

    async def _end(self, summary: Summary) -> None:
        log.info("%s", summary.text())
        # A scan that can be resumed has not ended.
        resumable = self._path is not None and not summary.complete
        await self._record("progress" if resumable else "end", counters=summary.record())
        # Last: who is killed in between tells the end once more, which is one record all the same.
        if summary.complete:
            await self._settle(summary.position, finished=True)

    async def _settle(self, position: int, finished: bool = False) -> None:
        """Everything before `position` is acknowledged."""
        if self._path is None:
            return
        seen = None
        if finished:
            seen = 0  # nobody will ask
        elif self._seen is not None:
            seen = await asyncio.to_thread(self._seen.flush)
        counters = added(self._prepared.checkpoint.counters, self._state.counters, self._tally)
        self._held = self._held.at(position, finished=finished, counters=counters, seen=seen)
        await asyncio.to_thread(checkpoints.write, self._path, self._held)
        if finished and self._seen is not None:
            self._seen.remove()

    def _remember(self, answers: Sequence[Answer]) -> None:
        """These need not come again when the scan goes on after a mark behind them."""
        if self._seen is not None:
            self._seen.add(
                key_of(answer.position, answer.success)
                for answer in answers
                if not answer.repeat and isinstance(answer.address, int)  # IPv6 has positions of its own
            )

    def _said(self, positions: Sequence[int]) -> None:
        """Nothing more will come of these hits."""
        if self._seen is not None:
            self._seen.add(key_of(position, True) for position in positions)

    @property
    def _going_on(self) -> dict[str, object]:
        """What the scan's own record says of it."""
        grabbing = self._onward.grabbing
        return {} if grabbing is None else {"grab": grabbing.name}

    def _spoken_to(self) -> list[BusDestination | FileDestination]:
        """Where records of conversations go."""
        file = self._file if isinstance(self._file, FileDestination) and self._lines is None else None
        file = file if self._module in (_BOTH, *outputs.MASSCAN) else None
        return [each for each in (self._bus, file, self._lines) if each is not None]

    async def _written(self, task: asyncio.Task[None]) -> None:
        """Wait for the writer; a reader that went away ends the scan without an error."""
        try:
            await task
        except ReaderGone as error:
            log.info("%s", error)
            self._state.reason = "reader-gone"

    def _look(self, now: float, engine: Engine) -> None:
        state, tally = self._state, self._tally
        if self._reports is not None:
            self._reports.look(now, engine, state.counters, tally, state.position)
        self._updates.look(now, self._told)
        if self._plugins is not None:
            self._plugins.look(now, self._told)

    @property
    def _told(self) -> Progress:
        """What plugins are told."""
        state, tally = self._state, self._tally
        return Progress(state.position, self._prepared.spec.last, tally.success, tally.written, state.counters)

    async def _progress(self, counters: dict[str, Any]) -> None:
        try:
            await self._record("progress", counters=counters)
        except LonglineError as error:
            log.warning("progress could not be recorded: %s", error)

    async def _record(
        self, event: str, spec: dict[str, Any] | None = None, counters: dict[str, Any] | None = None
    ) -> None:
        if self._bus is not None:
            name, vantage = self._prepared.spec.scan, self._prepared.spec.vantage
            await self._bus.record(Scan(name, _now_us(), event, vantage, spec, counters, self._state.position))

    def _summary(self, started: int) -> Summary:
        state, spec = self._state, self._prepared.spec
        return Summary(
            scan=spec.scan,
            engine="+".join(self._engines),
            targets=spec.last,
            position=state.position,
            complete=state.reason == "complete",
            reason=state.reason,
            started=started,
            ended=_now_us(),
            counters=state.counters,
            tally=self._tally,
            left_out=int(self._metrics.left_out.total),
        )

    def _say(self, engine: Engine, part: Slice) -> None:
        """One line before the first packet: what, how fast, by whom."""
        self._engines[engine.name] = None
        details = ", ".join(f"{key} {value}" for key, value in engine.describe().items() if key != "engine")
        rate = f"{engine.rate:,.0f} probes/s" if engine.rate else "no rate limit"
        spec = self._prepared.spec
        tell(scan=spec.scan)
        log.debug("%s", of_lists(spec))
        log.info(
            "scan %s: %d of %d IPv%d targets, %s, %s engine (%s), seed %d",
            spec.scan, part.last - part.first, part.size, part.version, rate, engine.name, details, spec.seed,
        )  # fmt: skip

    def _out_of_patience(self) -> bool:
        """Asked when the log takes nothing: whether the scan was told to stop, and nothing was written for a while."""
        if not self._stop.is_set() and not self._state.ordered:
            return False
        now = time.monotonic()
        if self._moved[1] != self._tally.written:
            self._moved = (now, self._tally.written)
        return now - self._moved[0] > STOP_PATIENCE


def _now_us() -> int:
    return time.time_ns() // 1_000
