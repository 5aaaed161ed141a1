"""All stages in one process over one SQLite file: what `longline run` is.

    scan --> file: hits --> bannergrab, tlsgrab --> file: banners, tls --> sink --> file: services, observations, ...

All readers are registered before the first probe leaves. When the scan has ended and every log is read and stored,
the stages are told to stop; a signal stops the scan first, then everything drains.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from stages.bannergrab.settings import BannergrabSettings
from stages.cli.assembly import (
    bannergrab_runner,
    behind,
    grounds_of,
    guarded,
    sink_runner,
    tlsgrab_runner,
    topics_of,
    watched,
)
from stages.cli.heeding import heed_of, heeded, leave_if_ordered
from stages.core.bus.urls import open_publisher
from stages.core.errors import LonglineError, UsageError
from stages.core.lifecycle import Life
from stages.core.metrics import Metrics
from stages.core.orders import Orders
from stages.core.resolving import resolver
from stages.core.runner import Runner
from stages.core.settings import BusSettings, ListSettings, Loaded, MetricsSettings, StoreSettings
from stages.net.privileges import Setup
from stages.scanner import checkpoint as checkpoints
from stages.scanner.app import scan
from stages.scanner.checkpoint import Checkpoint
from stages.scanner.metrics import ScannerMetrics
from stages.scanner.prepare import prepare
from stages.scanner.settings import ScannerSettings
from stages.scanner.summary import Summary
from stages.tlsgrab.settings import TlsgrabSettings

log = logging.getLogger("longline.run")

GRABS: Final = ("banner", "tls")

_SQLITE: Final = "sqlite:"

#: Seconds between two looks whether everything is drained, and between two progress lines of the log.
LOOK: Final = 0.1
REPORT: Final = 10.0

#: What banners of `run` are asked with where the user says nothing: hear the server first, then speak HTTP.
DEFAULT_DATA: Final = "http-req"
DEFAULT_WAIT: Final = 2.0


def parse_grabs(text: str) -> tuple[str, ...]:
    """`banner,tls`, one of them, or `none`. Raises UsageError."""
    if text == "none":
        return ()
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    for name in names:
        if name not in GRABS:
            raise UsageError("--grab", name, f"not one of {', '.join(GRABS)}, none")
    return names


def embedded(loaded: Loaded) -> tuple[str, BusSettings]:
    """(file, bus over that file). Raises UsageError when the store is no SQLite file."""
    store = loaded.get("store", StoreSettings)
    if not store.url.startswith(_SQLITE):
        raise UsageError(
            "--store", store.url, "`run` keeps everything in one SQLite file (sqlite:FILE); for MongoDB run the stages"
        )
    bus = loaded.get("bus", BusSettings).model_copy(update={"url": store.url, "from_": None, "to": None})
    return store.url.removeprefix(_SQLITE), bus


class _Embedded:
    """`Loaded`, with the bus of this run in it."""

    def __init__(self, loaded: Loaded, bus: BusSettings) -> None:
        self._loaded, self._bus = loaded, bus

    def get(self, name: str, kind: type[Any]) -> Any:
        return self._bus if name == "bus" else self._loaded.get(name, kind)


@dataclass(slots=True)
class State:
    """What the view shows."""

    metrics: Metrics
    runners: dict[str, Runner] = field(default_factory=dict)
    lags: dict[str, int] = field(default_factory=dict)
    scanning: bool = False
    scan: str = ""


class Pipeline:
    """One `longline run`."""

    def __init__(
        self,
        loaded: Loaded,
        *,
        grabs: tuple[str, ...],
        again: bool,
        view: bool,
        setup: Setup | None = None,
        checkpoint: Path | None = None,
        lists: ListSettings | None = None,
        scanning: bool = True,
    ) -> None:
        """`checkpoint`: instead of the one beside the file. `lists`: by which the scan's targets were laid out; those
        in `loaded` hold besides, as they are now. `scanning` False: only what is left in the logs is worked off."""
        self._given_checkpoint, self._laid_out, self._scanning = checkpoint, lists, scanning
        self.file, self._bus = embedded(loaded)
        self._loaded: Any = _Embedded(loaded, self._bus)
        self._grabs = grabs
        self._again = again
        self._view = view
        self._setup = setup
        self._heed = Orders()
        self.state = State(Metrics())

    @property
    def _scanner(self) -> ScannerSettings:
        """The scan's settings, as far as they are its own here."""
        settings: ScannerSettings = self._loaded.get("scanner", ScannerSettings)
        return settings.model_copy(update={"checkpoint": None, "resume": None})

    @property
    def _lists(self) -> ListSettings:
        """By which the scan's targets are laid out."""
        if self._laid_out is not None:
            return self._laid_out
        lists: ListSettings = self._loaded.get("lists", ListSettings)
        return lists

    @property
    def checkpoint(self) -> Path:
        """Beside the file, as its secret must be in no record."""
        if self._given_checkpoint is not None:
            return self._given_checkpoint
        return Path(f"{self.file}.checkpoint")

    def _held(self) -> Checkpoint | None:
        there = checkpoints.there(self.checkpoint, "--store")
        return checkpoints.read(self.checkpoint, "--store") if there else None

    def _check(self, held: Checkpoint) -> None:
        """Raise UsageError unless what is asked for goes together with the scan that was begun in the file."""
        store = f"--store {self._bus.source}"
        give_up = f"to give it up remove {self.checkpoint}"
        if self._again:
            if not held.finished:
                problem = f"scan {held.scan} in {self.file} is unfinished: without --again it goes on; {give_up}"
                raise UsageError("--again", None, problem)
            return
        lists = self._lists
        try:
            prepare(self._scanner, lists, now_us=0, resolve=resolver(), held=held, held_at=store)
        except UsageError as error:
            if error.place != store:
                raise
            way = "--again scans anew" if held.finished else give_up
            raise UsageError(store, None, f"{error.problem}; {way}, or name another file") from None

    async def run(self, life: Life) -> int:
        """To the end, or until told to stop. Raises what ended a stage."""
        held = await asyncio.to_thread(self._held) if self._scanning else None
        if held is not None:
            await asyncio.to_thread(self._check, held)
        finished = not self._scanning or (held is not None and held.finished and not self._again)
        metrics = self.state.metrics
        async with guarded(self._loaded.get("lists", ListSettings), metrics) as guard:
            runners = self.state.runners
            self._make(runners, guard.policy, metrics)
            checks = {name: self._ready(runner) for name, runner in runners.items()}
            self._heed = heed = heed_of(self._loaded, metrics)
            sending = [runner for name, runner in runners.items() if name != "sink"]
            served = self._loaded.get("metrics", MetricsSettings)
            async with watched(served, metrics, checks), behind(served, runners.values()), heeded(heed, guard, sending):
                tasks = {
                    asyncio.create_task(runner.run(), name=f"run {name}"): name for name, runner in runners.items()
                }
                follow = guard.also if self._laid_out is None else guard.follow
                work = asyncio.create_task(self._work(life, follow, finished), name="run")
                show = asyncio.create_task(self._show(), name="run view")
                try:
                    await asyncio.wait((work, *tasks), return_when=asyncio.FIRST_COMPLETED)
                    if not work.done():  # a stage ended by itself: it failed, or the signal reached it
                        life.stop()
                    await work
                finally:
                    for runner in runners.values():
                        runner.stop()
                    if not work.done():
                        work.cancel()
                    results = await asyncio.gather(*tasks, return_exceptions=True)
                    show.cancel()
                    await asyncio.gather(work, show, return_exceptions=True)
                for result in results:
                    if isinstance(result, BaseException):
                        raise result
        if life.stopping.is_set():
            log.info("stopped, the same command goes on; %s", progress(self.state))
        else:
            log.info("all is stored in %s; %s", self.file, progress(self.state))
        if finished and held is not None:
            done = sum(result.done for result in results if not isinstance(result, BaseException))
            rest = f"; {done} records that were left have been worked off" if done else ""
            sys.stderr.write(f"longline run: scan {held.scan} in {self.file} is finished{rest}; --again scans anew\n")
        return 0

    def _make(self, runners: dict[str, Runner], policy: Any, metrics: Metrics) -> None:
        loaded, shares = self._loaded, max(1, len(self._grabs)) + 1
        if "banner" in self._grabs:
            settings = loaded.get("bannergrab", BannergrabSettings)
            if settings.data is None and not settings.udp and settings.transport == "tcp":
                settings = settings.model_copy(update={"data": DEFAULT_DATA, "wait": DEFAULT_WAIT})
            grounds = grounds_of(loaded, "bannergrab", settings.concurrent, policy, metrics, shares=shares)
            runners["bannergrab"] = bannergrab_runner(settings, grounds, "")
        if "tls" in self._grabs:
            tls = loaded.get("tlsgrab", TlsgrabSettings)
            grounds = grounds_of(loaded, "tlsgrab", tls.concurrent, policy, metrics, shares=shares)
            runners["tlsgrab"] = tlsgrab_runner(tls, grounds, "")
        runners["sink"] = sink_runner(loaded, metrics)

    @staticmethod
    def _ready(runner: Runner) -> Callable[[], bool]:
        return lambda: runner.ready

    async def _work(self, life: Life, on_policy: Callable[[Any], None], finished: bool) -> None:
        """Scan, then wait until all is drained."""
        runners = self.state.runners
        while not all(runner.ready for runner in runners.values()):
            if life.stopping.is_set():
                return
            await asyncio.sleep(LOOK)
        while not self._heed.standing.known:
            if life.stopping.is_set():
                return
            await asyncio.sleep(LOOK)
        if not finished:
            await self._scan(life, on_policy)
        if not life.stopping.is_set():
            await self._drained(life)

    async def _scan(self, life: Life, on_policy: Callable[[Any], None]) -> Summary:
        publisher = open_publisher(self._bus.sink, self._bus, main=topics_of(self._bus).hits, stage="scanner")
        await publisher.start()
        self.state.scanning = True
        try:
            summary = await scan(
                self._scanner,
                lists=self._lists,
                publisher=publisher,
                topics=topics_of(self._bus),
                stop=life.stopping,
                metrics=ScannerMetrics(self.state.metrics),
                checkpoint=self.checkpoint,
                resume=not self._again,
                on_policy=on_policy,
                setup=self._setup,
                orders=self._heed,
            )
            leave_if_ordered(summary, self._heed.standing)
            return summary
        finally:
            self.state.scanning = False
            await publisher.close()

    async def _drained(self, life: Life) -> None:
        """Until every log is read to its end and settled; grabs before the sink, so that one look is enough."""
        while not life.stopping.is_set():
            quiet = True
            for name, runner in self.state.runners.items():
                self.state.lags[name] = lag = await runner.lag()
                quiet = quiet and lag == 0 and runner.idle
            if quiet:
                return
            await asyncio.sleep(LOOK)

    async def _show(self) -> None:
        if self._view:
            from stages.cli.live import show

            await show(self.state)
            return
        while True:
            await asyncio.sleep(REPORT)
            try:
                self.state.lags = {name: await runner.lag() for name, runner in self.state.runners.items()}
            except LonglineError as error:
                log.debug("no lag: %s", error)
            log.info("%s", progress(self.state))


def progress(state: State) -> str:
    """One line of numbers for the log."""
    parts = []
    if state.scanning:
        sent: Any = state.metrics["longline_scanner_probes_sent"]
        parts.append(f"scanner {int(sent.total)} sent")
    for name, runner in state.runners.items():
        summary = runner.summary
        parts.append(f"{name} {summary.done} done, {runner.in_flight} in flight, {state.lags.get(name, 0)} behind")
    return "; ".join(parts)
