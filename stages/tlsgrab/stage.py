"""tlsgrab as the runner sees it: hits in, handshakes, tls records out (`stages.core.grab`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Final

from stages.core.bus.base import Output
from stages.core.connecting import connect_timeout
from stages.core.grab import Grab, Reader
from stages.core.outcome import Outcome, Via
from stages.core.records import Hit, Tls, prefix_key
from stages.proto.tls.names import version_name
from stages.tlsgrab.attempts import Attempt, best_of, connections_of, next_attempt
from stages.tlsgrab.endings import blocked, expired, outcome_of, record_of
from stages.tlsgrab.jarm import Jarming, jarm_name, next_hello
from stages.tlsgrab.lines import Common, TlsLines
from stages.tlsgrab.modes import CERTIFICATE
from stages.tlsgrab.names import follow
from stages.tlsgrab.rules import Asking, Judge, next_asking
from stages.tlsgrab.sni import sni_of

if TYPE_CHECKING:
    from stages.core.job import Job
    from stages.core.routing import Routing
    from stages.net.conversation import Conversation
    from stages.net.dialing import Dialer
    from stages.net.onward import Onward
    from stages.tlsgrab.metrics import TlsgrabMetrics
    from stages.tlsgrab.modes import Mode
    from stages.tlsgrab.settings import TlsgrabSettings

#: Sockets handled in one turn of the loop in `full` mode: a flight costs 0.2 to 0.4 ms of OpenSSL, so all else of the
#: loop waits some milliseconds at most. Our own client takes a hundredth of that.
MAX_EVENTS: Final = 16

#: Seconds between two looks at the sockets of our own client while they are busy: a fraction of a round trip, and where
#: a server's signatures set the pace, the difference between one socket and dozens in a turn of the loop.
GATHER: Final = 0.01

#: Scans whose lines are begun at once: one is usual.
MAX_SCANS: Final = 64


def _lines_of(mode: str, scan: str, vantage: str, via: str) -> TlsLines:
    return TlsLines(Common(scan, vantage, mode, via=Via(via), asked=True))


#: (dialer, on_end, on_spent) -> an engine that goes on with the scanner's connections. Called in the loop.
GoOn = Callable[["Dialer", Callable[[list["Conversation"]], None], Callable[[Any], None]], "Onward"]


class TlsgrabStage(Grab["Dialer | Onward", "Conversation"]):
    """`stages.core.job.Stage`."""

    name = "tlsgrab"

    def __init__(
        self,
        settings: TlsgrabSettings,
        mode: Mode,
        *,
        topic: str,
        read: Reader,
        routing: Routing,
        blocked: Callable[[str], bool],
        metrics: TlsgrabMetrics,
        judge: Judge | None = None,
        render: Callable[[Tls], bytes] = Tls.dump,
        go_on: GoOn | None = None,
    ) -> None:
        """`topic`: where tls records go; `judge`: of each record; `render`: a record -> its line; with `go_on`, what
        that makes of a Dialer is the engine; the rest is described at `Grab`."""
        super().__init__(read=read, routing=routing, transport="tcp", blocked=blocked, opened=metrics.open)
        self._mode = mode
        self._topic = topic
        self._render = render
        # Nothing is asked of the record itself: then there need be none.
        plain = judge is None and render is Tls.dump and not settings.follow_names and mode.name == CERTIFICATE
        self._lines = lru_cache(MAX_SCANS)(partial(_lines_of, mode.name)) if plain else None
        self._go_on = go_on
        self._onward: Onward | None = None
        self._judge = judge
        self._failures = settings.jarm_failures
        self._metrics = metrics
        self._sni = partial(sni_of, literal=settings.sni_literal)
        self._server_name = self._sni(settings.server_name)
        self._follow = settings.follow_names
        self._default = None if self._server_name is None else self._server_name.decode("ascii")
        self._lowest = settings.conn_timeout_min
        self._highest = settings.conn_timeout
        self._max_bytes = settings.max_bytes

    def open_engine(self) -> Dialer | Onward:
        dialer = self._open_dialer()
        if self._go_on is None:
            return dialer
        self._onward = self._go_on(dialer, self.on_end, self.on_spent)
        return self._onward

    def _open_dialer(self) -> Dialer:
        from stages.net.dialing import Dialer
        from stages.net.poller import open_poller

        if self._mode.light:
            return Dialer(self.on_end, keep_data=False, reset=True, open_poller=partial(open_poller, gather=GATHER))
        return Dialer(self.on_end, keep_data=False, open_poller=partial(open_poller, max_events=MAX_EVENTS))

    def dial(self, engine: Dialer | Onward, job: Job, hit: Hit) -> None:
        name = hit.name
        sni = self._server_name if name is None else self._sni(name) or self._server_name
        if self._mode.jarm:
            sni = jarm_name(sni, hit.ip)
        handshake = self._mode.begin(sni, hit.hello if isinstance(hit, Attempt) else "", hit.port)
        timeout = connect_timeout(hit.rtt, self._lowest, self._highest)
        if self._onward is None:
            engine.dial(hit.ip, hit.port, handshake, job, connect_timeout=timeout, max_bytes=self._max_bytes)
            return
        self._onward.begin(
            hit,
            handshake,
            job,
            connect_timeout=timeout,
            max_bytes=self._max_bytes,
            # What is no plain hit has had a connection: the one that the scanner opened, or one of ours.
            dials=max(job.tries, 0 if type(hit) is Hit else connections_of(hit) - 1 or 1),
            more=True,
        )

    def finish(self, job: Job, conversation: Conversation) -> None:
        handshake: Any = conversation.dialogue
        hit: Hit = job.record
        if self._lines is not None and type(hit) is Hit and self._plainly(job, conversation, hit, handshake):
            return
        outcome, phase = outcome_of(conversation, handshake)
        if outcome is Outcome.LOCAL:
            self._metrics.handshakes.add(1, outcome)
            self.local(job, conversation)
            return
        mode = self._mode
        record = record_of(
            conversation,
            hit,
            handshake,
            outcome,
            phase,
            mode=f"{mode.name}+{hit.hello}" if isinstance(hit, Asking) else mode.name,
            connections=connections_of(hit),
        )
        if mode.jarm:
            answer: str = getattr(handshake, "inner", handshake).answer
            step = next_hello(hit, record, answer, self._failures)
            if isinstance(step, Jarming):
                job.further(step)
            else:
                job.done((self._ended(step),), step.outcome)
            return
        if outcome is not Outcome.OK and not isinstance(hit, Asking):
            another = next_attempt(hit, record, mode.budget, mode.hellos)
            if another is not None:
                self._metrics.fallbacks.add(1, another.hello)
                job.further(another)
                return
            record = best_of(hit, record)
        if self._judge is not None and (ask := next_asking(hit, record, self._judge.hellos)) is not None:
            job.further(ask)
            return
        records = (*hit.kept, record) if isinstance(hit, Asking) else (record,)
        usual = records[0]
        more: Sequence[tuple[Hit, bytes]] = ()
        if self._follow and usual.certificates:
            more = follow(hit, usual.certificates[0], self._follow, self._default)
            self._metrics.followed.add(len(more))
        job.done([self._ended(each) for each in records], usual.outcome, more)

    def _plainly(self, job: Job, conversation: Conversation, hit: Hit, handshake: Any) -> bool:
        """Whether it went as most do, and is done with."""
        assert self._lines is not None
        line = self._lines(hit.scan, hit.vantage, conversation.via).line(conversation, hit)
        if line is None:
            return False
        hello = handshake.server_hello
        self._metrics.plain(
            version_name(hello.version), len(handshake.chain_seen or ()), conversation.connected, conversation.ended
        )
        job.done((Output(self._topic, prefix_key(hit.ip), line),), Outcome.OK, ())
        return True

    def _ended(self, record: Tls) -> Output:
        """Judged, counted, and as it goes out."""
        if self._judge is not None:
            record.rules = self._judge.judge(record)
            self._metrics.matched.add(len(record.rules))
        self._metrics.ended(record)
        return self._output(record)

    def refusal(self, hit: Hit, ts: int) -> Sequence[Output]:
        record = blocked(hit, ts, self._mode.name)
        self._metrics.ended(record)
        return (self._output(record),)

    def spent(self, hit: Hit, ts: int) -> Sequence[Output]:
        kept = tuple(hit.kept) if isinstance(hit, Asking) else ()
        first = hit.first if isinstance(hit, Attempt) and not kept else None
        records = kept or (first if first is not None else expired(hit, ts, self._mode.name),)
        return [self._ended(record) for record in records]

    def _output(self, record: Tls) -> Output:
        return Output(self._topic, prefix_key(record.ip), self._render(record))
