"""The way of a record through a stage, without the clock and the log around it.

    accept -> decode -> admit -> gate -> begin (Stage.take) -> finished job on the desk -> reap -> feed

Everything goes in batches and nothing here waits: the runner calls `accept` with each chunk, `reap` and `begin` once a
turn of the loop, and sleeps until `next_at`. Times are seconds of a monotonic clock; `epoch` is the same moment in
microseconds since 1970, for what leaves the process.

What a stage's own code raises is a bug in it: the record goes to the dead letters with that reason, and the log says
so once per kind.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from stages.core.bus.base import Chunk, Output, Partition, Topics
from stages.core.concurrency import Concurrency
from stages.core.deadletters import Fuse, dead_letter
from stages.core.delays import Delays
from stages.core.errors import Fused, HostError, LonglineError, RecordError
from stages.core.feed import HIGH_BYTES, Feed
from stages.core.job import End, Job, Stage
from stages.core.offsets import Entry, Span, State
from stages.core.outcome import DeadReason, Outcome
from stages.core.pacing import backoff
from stages.core.politeness import Gate
from stages.core.records import MAX_RECORD_BYTES, prefix_key
from stages.core.runner_metrics import RunnerMetrics
from stages.core.starved import leave_if_starved

log = logging.getLogger("longline.core.flow")

#: Header of what is put off: microseconds since the epoch, in ASCII.
NOT_BEFORE: Final = "not_before"

#: Jobs begun in one turn, so that the loop also turns for those under way.
START_SLICE: Final = 2_000

#: Seconds until a job that met a limit of this host is tried again, at first and at most.
LOCAL_FIRST: Final = 0.1
LOCAL_CEILING: Final = 5.0

#: Seconds between two looks for what politeness delays for too long: it costs a walk over all waiting hosts.
OVERDUE_EVERY: Final = 1.0

#: Seconds for which politeness, and nothing else, has held records back when the log says so, and until it does again.
POLITE_AFTER: Final = 10.0
POLITE_EVERY: Final = 60.0

_DONE: Final = End.DONE
_OURS: Final = State.OURS


class Flow:
    """The records in hand of one stage. `error`, once set, is why the stage must stop."""

    def __init__(
        self,
        stage: Stage,
        topics: Topics,
        metrics: RunnerMetrics,
        *,
        gate: Gate[Job] | None,
        concurrency: Concurrency,
        local_tries: int,
        put_off: bool,
        horizon: float,
    ) -> None:
        self.error: Exception | None = None
        self.in_flight = 0
        self.hold = False  #: nothing is begun, nor put off
        self.concurrency = concurrency
        self._stage = stage
        self._topics = topics
        self._metrics = metrics
        self._gate = gate
        self._local_tries = local_tries
        self._put_off = put_off
        self._horizon = horizon
        self._fuse = Fuse()
        metrics.dead_share.read = lambda: self._fuse.dead_share
        self._ready: deque[Job] = deque()  # nobody to be polite to
        self._retries: Delays[Job] = Delays()
        self._held: Delays[tuple[Feed, Entry, Chunk]] = Delays()
        self._overdue_at = 0.0
        self._polite_since: float | None = None
        self._polite_said = -math.inf
        self._full = False  # results pile up: nothing is begun until some are settled
        self._bugs: set[tuple[str, str]] = set()

    @property
    def waiting(self) -> int:
        """Records decoded and not begun."""
        return len(self._ready) + len(self._retries) + (self._gate.waiting if self._gate else 0)

    # --- in

    def accept(self, feed: Feed, chunk: Chunk, now: float, epoch: int) -> None:
        """Take a chunk in hand: at once, or when its time comes."""
        entry = feed.take(chunk)
        self._metrics.taken.add(entry.lines)
        due = _not_before(chunk)
        if due > epoch:
            self._held.push(now + (due - epoch) / 1e6, (feed, entry, chunk))
        else:
            self._decode(feed, entry, chunk.lines, now)

    def _decode(self, feed: Feed, entry: Entry, lines: Sequence[bytes], now: float) -> None:
        stage, gate, desk, ready = self._stage, self._gate, feed.desk, self._ready
        decode, admit, target = stage.decode, stage.admit, stage.target
        small = entry.size <= MAX_RECORD_BYTES
        skipped = answered = dead = 0
        for line in lines:
            try:
                if not small and len(line) > MAX_RECORD_BYTES:
                    raise RecordError(DeadReason.OVERSIZED, f"{len(line)} bytes, at most {MAX_RECORD_BYTES}")
                record = decode(line)
                if record is None:
                    skipped += 1
                    continue
                outputs = admit(record)
                if outputs is not None:
                    feed.add(outputs)
                    answered += 1
                elif gate is None or (host := target(record)) is None:
                    ready.append(Job(record, desk, entry, line))
                else:
                    gate.offer(Job(record, desk, entry, line, host), host, now)
            except RecordError as error:
                dead += 1
                self._bury(feed, entry, line, error.reason, error.detail)
            except Exception as error:
                dead += 1
                self._bury(feed, entry, line, DeadReason.BUG, self._bug(error))
        self._metrics.skipped.add(skipped)
        self._metrics.admitted.add(answered)
        ended = skipped + answered + dead
        feed.records -= ended
        entry.left -= ended
        if not entry.left:
            self._close(feed, entry)

    # --- on

    def begin(self, now: float, epoch: int, feeds: Iterable[Feed]) -> bool:
        """Begin what may begin now. Returns whether more could begin at once, in another turn."""
        if self.hold:
            self._polite_since = None
            return False
        self._once_more([job for job in self._retries.pop(now) if job.entry.span.state is _OURS], now)
        for feed, entry, chunk in self._held.pop(now):
            self._decode(feed, entry, chunk.lines, now)
        self._full = any(feed.backlog >= feed.high or feed.backlog_bytes >= HIGH_BYTES for feed in feeds)
        if self._full:
            self._polite_since = None
            return False
        free = self.concurrency.limit - self.in_flight
        room = min(free, START_SLICE)
        if room <= 0:
            self._polite_since = None
            return False
        ready = self._ready
        jobs = [ready.popleft() for _ in range(min(room, len(ready)))]
        gate = self._gate
        if gate is not None and gate.waiting and len(jobs) < room:
            jobs += gate.ready(now, room - len(jobs))
        if jobs:
            self._take(jobs)
        if gate is not None and gate.waiting and len(jobs) < room:
            self._polite(gate, now)
        else:
            self._polite_since = None
        return len(jobs) == room < free

    def put_off(self, now: float, epoch: int) -> None:
        """Send what politeness delays beyond the horizon to the later topic."""
        gate = self._gate
        if gate is None or not self._put_off or not gate.waiting or now < self._overdue_at or self.hold:
            return
        self._overdue_at = now + OVERDUE_EVERY
        for job in gate.overdue(now, self._horizon):
            self._later(job.desk.owner, job, epoch + int(self._horizon * 1e6))
            self._finish(job.desk.owner, job.entry)

    def next_at(self, now: float) -> float | None:
        """When to call `begin` or `put_off` again, if nothing ends or comes before."""
        if self.hold:
            return None
        times = [self._retries.next_at(), self._held.next_at()]
        gate = self._gate
        if gate is not None and gate.waiting:
            if self.in_flight < self.concurrency.limit and not self._full:
                times.append(gate.next_at(now))
            if self._put_off:
                times.append(self._overdue_at)
        return min((time for time in times if time is not None), default=None)

    def _polite(self, gate: Gate[Job], now: float) -> None:
        """There is room, and politeness leaves it free: say so once it lasts, or the user takes it for slowness."""
        since = self._polite_since = now if self._polite_since is None else self._polite_since
        if now - since < POLITE_AFTER or now - self._polite_said < POLITE_EVERY:
            return
        self._polite_said = now
        held, limits = gate.holding(), gate.limits
        reasons = []
        if held.prefixes:
            nets = "1 network at its rate" if held.prefixes == 1 else f"{held.prefixes:,} networks at their rate"
            rate = f"--per-prefix {limits.per_prefix:g}, another {held.seconds:,.0f} s for the fullest"
            reasons.append(f"{nets} ({rate})")
        if held.hosts:
            hosts = "1 host with all its" if held.hosts == 1 else f"{held.hosts:,} hosts with all their"
            reasons.append(f"{hosts} connections open (--per-host {limits.per_host})")
        if not reasons:
            reasons.append(f"the rate of all (--max-rate {limits.rate:g})")
        name, why = self._stage.name, ", ".join(reasons)
        log.info("%s: politeness sets the pace, not the network: %d records wait for %s", name, held.waiting, why)

    def _offer(self, job: Job, now: float) -> None:
        if self._gate is None or job.host is None:
            self._ready.append(job)
        else:
            self._gate.offer(job, job.host, now)

    def _once_more(self, jobs: Sequence[Job], now: float) -> None:
        """Offer what was tried before. Where politeness does not order them they go before those that never were: the
        more wait, the later a record's last try would come, and with it the end of a stage that cannot work."""
        for job in reversed(jobs):
            if self._gate is None or job.host is None:
                self._ready.appendleft(job)
            else:
                self._offer(job, now)

    def _take(self, jobs: list[Job]) -> None:
        self.in_flight += len(jobs)
        try:
            self._stage.take(jobs)
        except LonglineError as error:
            self.error = self.error or error
        except Exception as error:
            detail = self._bug(error)
            for job in jobs:
                if job.end is End.OPEN:
                    job.dead(DeadReason.BUG, detail)

    # --- out

    def reap(self, feed: Feed, now: float, epoch: int) -> None:
        """Clear the feed's desk."""
        jobs, feed.desk.jobs = feed.desk.jobs, []
        gate = self._gate
        self.in_flight -= len(jobs)
        outputs: list[Output] = []
        word: Outcome | DeadReason = Outcome.OK
        words = ended = local = 0
        for job in jobs:
            if job.host is not None and gate is not None:
                gate.release(job.host)
            entry = job.entry
            span = entry.span
            if span.state is not _OURS:
                if span.state is State.LOST:
                    self._metrics.late.add()
                    continue
                span.awaited -= 1
            end = job.end
            if end is _DONE:
                if job.outputs:
                    outputs.extend(job.outputs)
                if job.word is not word:
                    self._metrics.done.add(words, word)
                    word, words = job.word, 0
                words += 1
                if job.more:
                    self._more(feed, job, now)
            elif end is End.LOCAL:
                local += 1
                self._local(job, now)
                continue
            elif end is End.RECALLED:
                if span.state is _OURS:
                    self._offer(job.again(), now)
                continue
            elif end is End.FURTHER:
                if span.state is _OURS:
                    self._offer(Job(job.record, job.desk, entry, job.line, job.host), now)
                continue
            elif end is End.DEAD:
                assert isinstance(job.word, DeadReason)
                self._bury(feed, entry, job.line, job.word, job.detail)
            elif self._put_off:
                self._later(feed, job, job.not_before)
            else:
                self._retries.push(now + max(0.0, (job.not_before - epoch) / 1e6), job.again())
                continue
            ended += 1
            entry.left -= 1
            if not entry.left:
                self._close(feed, entry)
        self._metrics.done.add(words, word)
        feed.records -= ended
        self.concurrency.ended(len(jobs) - local)
        if outputs:
            feed.add(outputs)

    def _more(self, feed: Feed, job: Job, now: float) -> None:
        """Take in hand what follows from a finished job. Of a partition that is being taken away it is left to the
        next owner: the entry stays unfinished, and is delivered again."""
        entry = job.entry
        for record, line in job.more:
            feed.records += 1
            entry.left += 1
            if entry.span.state is _OURS:
                self._offer(Job(record, job.desk, entry, line, job.host), now)

    def _finish(self, feed: Feed, entry: Entry) -> None:
        feed.records -= 1
        entry.left -= 1
        if not entry.left:
            self._close(feed, entry)

    def _close(self, feed: Feed, entry: Entry) -> None:
        for done in feed.finished(entry):
            try:
                self._fuse.note(done.lines, done.dead)
            except Fused as error:
                self.error = self.error or error

    def _bury(self, feed: Feed, entry: Entry, line: bytes, reason: DeadReason, detail: str) -> None:
        entry.dead += 1
        topic, partition = entry.span.partition
        feed.add([dead_letter(self._topics, self._stage.name, line, reason, detail, (topic, partition, entry.offset))])
        self._metrics.dead.add(1, reason)

    def _local(self, job: Job, now: float) -> None:
        if self.concurrency.failed(now):
            log.warning("this host is at its limit, at most %d at once now: %s", self.concurrency.limit, job.detail)
        if job.entry.span.state is not _OURS:
            return
        if job.tries + 1 >= self._local_tries:
            self.error = self.error or HostError(f"{job.detail} (tried {job.tries + 1} times)")
            return
        self._metrics.retries.add(1, "local")
        self._retries.push(now + backoff(job.tries, LOCAL_FIRST, LOCAL_CEILING), job.again())

    def _later(self, feed: Feed, job: Job, not_before: int) -> None:
        host = job.host if job.host is not None else self._stage.target(job.record)
        key = b"" if host is None else prefix_key(host)
        topic = self._topics.later(self._stage.name)
        feed.add([Output(topic, key, job.line, {NOT_BEFORE: b"%d" % not_before})])
        self._metrics.later.add()

    def _bug(self, error: Exception) -> str:
        leave_if_starved(error)
        detail = f"{type(error).__name__}: {error}"
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        kind = (type(error).__name__, f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else "")
        if kind not in self._bugs:
            self._bugs.add(kind)
            log.error("%s: a bug; its records go to the dead letters", self._stage.name, exc_info=error)
        return detail

    # --- taken away

    def withdraw(self, feed: Feed, partitions: Iterable[Partition]) -> list[Span]:
        """Partitions are being taken away: drop what is not begun. `Span.awaited` counts down what is in flight."""
        spans = feed.offsets.close(partitions)
        for span in spans:
            span.awaited = sum(entry.left for entry in span.pending)
        for job in self.discard(lambda entry: entry.span.state is State.CLOSING):
            job.entry.span.awaited -= 1
        for _, entry, _ in self._held.discard(lambda held: held[1].span.state is State.CLOSING):
            entry.span.awaited -= entry.left
        return spans

    def discard(self, condition: Callable[[Entry], bool]) -> list[Job]:
        """Take the jobs out that are not begun and whose entry meets the condition."""
        out = self._retries.discard(lambda job: condition(job.entry))
        if self._gate is not None:
            out += self._gate.discard(lambda job: condition(job.entry))
        out += [job for job in self._ready if condition(job.entry)]
        self._ready = deque(job for job in self._ready if not condition(job.entry))
        return out


def _not_before(chunk: Chunk) -> int:
    """When the chunk is due, microseconds since the epoch; 0 for at once, also when the header cannot be read."""
    text = chunk.headers.get(NOT_BEFORE) if chunk.headers else None
    return int(text) if text is not None and text.isdigit() else 0
