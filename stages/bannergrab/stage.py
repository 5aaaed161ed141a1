"""bannergrab as the runner sees it: hits in, conversations, banners out (`stages.core.grab`)."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

from stages.bannergrab.endings import banner_of, blocked, expired, outcome_of, told_of
from stages.bannergrab.formats import as_json
from stages.core.bus.base import Output
from stages.core.connecting import connect_timeout
from stages.core.grab import Grab, Reader
from stages.core.outcome import Outcome
from stages.core.records import ID_DIGITS, prefix_key

if TYPE_CHECKING:
    from stages.bannergrab.formats import Format
    from stages.bannergrab.lines import BannerLines, Common
    from stages.bannergrab.metrics import BannergrabMetrics
    from stages.bannergrab.settings import BannergrabSettings
    from stages.core.job import Job
    from stages.core.records import Banner, Hit
    from stages.core.routing import Routing
    from stages.net.continuation import Fixed
    from stages.net.conversation import Conversation, Dialogue
    from stages.net.dialing import Dialer
    from stages.net.ended import Ended, OnEnded
    from stages.net.onward import Onward
    from stages.proto.banner import Script
    from stages.proto.dialogues.registry import Named


class Engine(Protocol):
    """`net.dialing.Dialer`, `net.onward.Onward`, `bannergrab.udp.UdpDialer`."""

    @property
    def open(self) -> int: ...

    def dial(
        self, host: str, port: int, dialogue: Dialogue, tag: object, *, connect_timeout: float, max_bytes: int
    ) -> None: ...

    def abort_all(self) -> None: ...

    def recall(self, which: Callable[[Any], bool]) -> list[Any]: ...

    async def close(self) -> None: ...


OpenEngine = Callable[[Callable[[list["Conversation"]], None]], Engine]

#: (dialer, on_end, on_spent, fixed, on_ended) -> an engine that goes on with the scanner's connections, by the compiled
#: dialogue where `fixed` is one. Called in the loop.
GoOn = Callable[
    ["Dialer", Callable[[list["Conversation"]], None], Callable[[Any], None], "Fixed | None", "OnEnded"], "Onward"
]
#: What lines have in common comes from this many scans at once, at most.
MAX_SCANS: Final = 64
#: Hex digits of the ids of hits, which are written into lines as they are.
_IDS: Final = re.compile(rb"[0-9a-f]*").fullmatch


class BannergrabStage(Grab[Engine, "Conversation"]):
    """`stages.core.job.Stage`."""

    name = "bannergrab"

    def __init__(
        self,
        settings: BannergrabSettings,
        script: Script | Named,
        *,
        topic: str,
        read: Reader,
        routing: Routing,
        blocked: Callable[[str], bool],
        render: Format,
        metrics: BannergrabMetrics,
        open_engine: OpenEngine,
        go_on: GoOn | None = None,
    ) -> None:
        """`topic`: where banners go. `render`: None for what is not printed. `open_engine` is called at `start`, inside
        the loop; with `go_on`, what that makes of a Dialer is used instead. The rest is described at `Grab`."""
        super().__init__(read=read, routing=routing, transport=settings.over, blocked=blocked, opened=metrics.open)
        self._script = script
        self._topic = topic
        self._render = render
        self._metrics = metrics
        self._open_engine = open_engine
        self._go_on = go_on
        self._onward: Onward | None = None
        self._lowest = settings.conn_timeout_min
        self._highest = settings.conn_timeout
        self._max_bytes = settings.max_bytes
        self._probe = script.probe
        self._shared = script.begin("") if script.stateless else None
        self._lines: dict[Common, BannerLines] = {}

    def open_engine(self) -> Engine:
        if self._go_on is None:
            return self._open_engine(self.on_end)
        from stages.bannergrab.fixed import fixed_of
        from stages.net.dialing import Dialer

        fixed = fixed_of(self._script, self._max_bytes) if self._render is as_json else None
        self._onward = self._go_on(Dialer(self.on_end), self.on_end, self.on_spent, fixed, self.on_ended)
        return self._onward

    def dial(self, engine: Engine, job: Job, hit: Hit) -> None:
        shared = self._shared
        dialogue = shared if shared is not None else self._script.begin(hit.ip, hit.port, hit.name)
        timeout = connect_timeout(hit.rtt, self._lowest, self._highest)
        if self._onward is not None:
            self._onward.begin(hit, dialogue, job, connect_timeout=timeout, max_bytes=self._max_bytes, dials=job.tries)
            return
        engine.dial(hit.ip, hit.port, dialogue, job, connect_timeout=timeout, max_bytes=self._max_bytes)

    def finish(self, job: Job, conversation: Conversation) -> None:
        transport = self._transport
        told = told_of(conversation.dialogue)
        outcome = outcome_of(conversation, told, datagrams=transport == "udp")
        banner = banner_of(conversation, job.record, outcome, self._probe, transport, told)
        self._metrics.ended(banner)
        if outcome is Outcome.LOCAL:
            self.local(job, conversation)
        else:
            job.done(self._outputs(banner), outcome)

    def on_ended(self, ended: Ended, jobs: list[Job], asked: bool) -> None:
        """For the engine: a batch of plain conversations, each with its job."""
        scans: dict[tuple[str, str, str] | None, list[int]] = {}
        for at, job in enumerate(jobs):
            hit: Hit = job.record
            key = (hit.scan, hit.vantage, hit.probe) if hit.name is None and len(hit.id) == ID_DIGITS else None
            scans.setdefault(key, []).append(at)
        for key, places in scans.items():
            ids = "".join([jobs[at].record.id for at in places]).encode("ascii", "replace")
            if key is None or not _IDS(ids):
                self._one_by_one(ended, jobs, places, asked)
                continue
            part = ended if len(places) == len(jobs) else ended.part(places)
            self._metrics.plain(part.rows)
            lines = self._lines_of(key, asked).plain(part, ids)
            topic = self._topic
            for at, (prefix, line) in zip(places, lines, strict=True):
                jobs[at].done((Output(topic, prefix, line),), Outcome.OK)

    def _one_by_one(self, ended: Ended, jobs: list[Job], places: list[int], asked: bool) -> None:
        from stages.net.ended import conversation_of

        script = self._script
        for at in places:
            job = jobs[at]
            hit: Hit = job.record
            dialogue = script.begin(hit.ip, hit.port, hit.name)
            self.on_end([conversation_of(ended, at, dialogue, job, asked=asked)])

    def _lines_of(self, of: tuple[str, str, str], asked: bool) -> BannerLines:
        from stages.bannergrab.lines import BannerLines, Common

        common = Common(*of, self._probe, asked=asked)
        lines = self._lines.get(common)
        if lines is None:
            if len(self._lines) >= MAX_SCANS:
                self._lines.clear()
            lines = self._lines[common] = BannerLines(common)
        return lines

    def refusal(self, hit: Hit, ts: int) -> Sequence[Output]:
        banner = blocked(hit, ts, self._probe, self._transport)
        self._metrics.ended(banner)
        return self._outputs(banner)

    def spent(self, hit: Hit, ts: int) -> Sequence[Output]:
        banner = expired(hit, ts, self._probe)
        self._metrics.ended(banner)
        return self._outputs(banner)

    def _outputs(self, banner: Banner) -> Sequence[Output]:
        line = self._render(banner)
        return () if line is None else (Output(self._topic, prefix_key(banner.ip), line),)
