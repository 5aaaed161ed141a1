from __future__ import annotations

import logging

import pytest

from stages.core.bus.base import Chunk
from stages.core.bus.memory import MemoryBus
from stages.core.concurrency import Concurrency
from stages.core.errors import Fused, HostError
from stages.core.feed import Feed
from stages.core.flow import NOT_BEFORE, OVERDUE_EVERY, POLITE_AFTER, POLITE_EVERY, START_SLICE, Flow
from stages.core.job import Desk, Job
from stages.core.offsets import Offsets
from stages.core.outcome import DeadReason, Outcome
from stages.core.politeness import Gate, Limits
from stages.core.records import MAX_RECORD_BYTES
from stages.core.runner_metrics import RunnerMetrics
from tests.core.echo import TOPICS, Echo

EPOCH = 1_700_000_000_000_000


class Bench:
    """A flow with one feed, and the clock in hand."""

    def __init__(
        self,
        *,
        limits: Limits | None = None,
        put_off: bool = False,
        capacity: int = 100,
        tries: int = 3,
        span: int = 1000,
    ) -> None:
        self.stage = Echo(hold=True)
        self.metrics = RunnerMetrics("echo")
        self.gate: Gate[Job] | None = None if limits is None else Gate(limits)
        self.flow = Flow(
            self.stage,
            TOPICS,
            self.metrics,
            gate=self.gate,
            concurrency=Concurrency(capacity),
            local_tries=tries,
            put_off=put_off,
            horizon=10.0,
        )
        self.feed = Feed(MemoryBus(1).source(["t.hits.v1"], "g"), Offsets(span), Desk(lambda: None), 1000, 500)
        self.now = 0.0
        self.offset = 0

    def accept(self, *lines: bytes, headers: dict[str, bytes] | None = None) -> None:
        chunk = Chunk("t.hits.v1", 0, self.offset, self.offset + 1, list(lines), headers)
        self.offset += 1
        self.flow.accept(self.feed, chunk, self.now, self.epoch)

    @property
    def epoch(self) -> int:
        return EPOCH + int(self.now * 1e6)

    def begin(self) -> bool:
        return self.flow.begin(self.now, self.epoch, [self.feed])

    def turn(self) -> None:
        self.stage.finish()
        self.flow.reap(self.feed, self.now, self.epoch)

    def values(self) -> list[bytes]:
        return [output.value for output in self.feed.outputs]

    def position(self) -> int:
        return self.feed.offsets.report().get(("t.hits.v1", 0), 0)


def test_the_whole_way() -> None:
    b = Bench()
    b.accept(b"10.0.0.1 1", b"10.0.0.2 2 refused")
    assert not b.begin()
    assert b.flow.in_flight == 2
    b.turn()
    assert b.values() == [b"10.0.0.1 1", b"10.0.0.2 2 refused"]
    assert (b.flow.in_flight, b.feed.records, b.position()) == (0, 0, 1)
    assert b.metrics.done.value(Outcome.OK) == b.metrics.done.value(Outcome.REFUSED) == 1


def test_what_is_not_ours_and_what_is_answered_at_intake_never_begins() -> None:
    b = Bench()
    b.accept(b"skip", b"10.0.0.1 7 blocked", b"skip")
    b.begin()
    assert b.stage.begun == []
    assert b.values() == [b"blocked 7"]
    assert b.position() == 1
    assert (b.metrics.skipped.total, b.metrics.admitted.total, b.metrics.taken.total) == (2, 1, 3)


def test_on_hold_nothing_begins_and_what_is_recalled_comes_again() -> None:
    b = Bench(limits=Limits(per_host=1), put_off=True)
    b.accept(b"10.0.0.1 1", b"10.0.0.1 2", b"10.0.0.2 3")
    b.begin()
    assert b.flow.in_flight == 2
    b.flow.hold = True
    for job in b.stage.held:
        job.recalled()
    b.stage.held.clear()
    b.flow.reap(b.feed, b.now, b.epoch)
    b.now = 1_000.0
    assert not b.begin()
    b.flow.put_off(b.now, b.epoch)
    assert b.flow.next_at(b.now) is None
    assert (b.flow.in_flight, b.flow.waiting, b.feed.records, b.position(), b.values()) == (0, 3, 3, 0, [])
    b.flow.hold = False
    while b.feed.records:
        b.begin()
        b.turn()
        b.now += 1
    assert sorted(b.values()) == [b"10.0.0.1 1", b"10.0.0.1 2", b"10.0.0.2 3"]
    assert b.position() == 1


def test_dead_letters_are_lines_untouched(caplog: pytest.LogCaptureFixture) -> None:
    b = Bench()
    bad, big = b"{bad \xff\x00", b"x" * (MAX_RECORD_BYTES + 1)
    with caplog.at_level(logging.ERROR, "longline.core.flow"):
        b.accept(bad, big, b"decode-bug 1", b"decode-bug 2", b"10.0.0.1 1 dead", b"10.0.0.1 2")
    b.begin()
    b.turn()
    dead = [output for output in b.feed.outputs if output.topic == TOPICS.dead]
    reasons = [output.headers["reason"] for output in dead if output.headers]
    assert [output.value for output in dead] == [bad, big, b"decode-bug 1", b"decode-bug 2", b"10.0.0.1 1 dead"]
    assert reasons == [b"undecodable", b"oversized", b"bug", b"bug", b"refused"]
    assert b.metrics.dead.value(DeadReason.BUG) == 2
    assert b.position() == 1
    assert len(caplog.records) == 1  # one bug, however many records it meets


def test_a_stage_that_raises_in_take_kills_only_what_it_did_not_finish() -> None:
    b = Bench()

    def explode(jobs: object) -> None:
        assert isinstance(jobs, list)
        jobs[0].done()
        raise RuntimeError("boom")

    b.stage.on_take = explode
    b.accept(b"10.0.0.1 1", b"10.0.0.1 2")
    b.begin()
    b.flow.reap(b.feed, b.now, b.epoch)
    assert b.values() == [b"10.0.0.1 2"]
    assert b.metrics.dead.value(DeadReason.BUG) == 1
    assert b.flow.error is None


def test_a_host_error_in_take_stops_the_stage() -> None:
    b = Bench()

    def explode(_: object) -> None:
        raise HostError("no interface")

    b.stage.on_take = explode
    b.accept(b"10.0.0.1 1")
    b.begin()
    assert isinstance(b.flow.error, HostError)


def test_capacity_bounds_what_is_in_flight() -> None:
    b = Bench(capacity=3)
    b.accept(*(b"10.0.0.%d 1" % n for n in range(10)))
    b.begin()
    assert (b.flow.in_flight, b.flow.waiting) == (3, 7)
    b.stage.finish(lambda job: job.record[0] == "10.0.0.0")
    b.flow.reap(b.feed, b.now, b.epoch)
    b.begin()
    assert (b.flow.in_flight, b.flow.waiting) == (3, 6)


def test_much_at_once_begins_in_slices() -> None:
    b = Bench(capacity=START_SLICE + 5)
    b.accept(*(b"10.0.0.1 %d" % n for n in range(START_SLICE + 5)))
    assert b.begin()
    assert b.flow.in_flight == START_SLICE
    assert not b.begin()
    assert b.flow.in_flight == START_SLICE + 5


def test_nothing_begins_while_results_pile_up() -> None:
    b = Bench(limits=Limits(per_host=1))
    b.feed.backlog = b.feed.high
    b.accept(b"10.0.0.1 1")
    assert not b.begin()
    assert b.flow.in_flight == 0
    assert b.flow.next_at(b.now) is None
    b.feed.backlog = 0
    b.begin()
    assert b.flow.in_flight == 1


def test_the_gate_is_asked_and_told() -> None:
    b = Bench(limits=Limits(per_host=1))
    b.accept(b"10.0.0.1 1", b"10.0.0.1 2", b"10.0.0.2 3")
    b.begin()
    assert sorted(b.stage.begun) == [b"10.0.0.1 1", b"10.0.0.2 3"]
    assert b.flow.next_at(b.now) is None
    b.turn()
    assert b.flow.next_at(b.now) == b.now
    b.begin()
    b.turn()
    assert b.feed.idle is False
    assert b.gate is not None
    assert b.gate.remembered == 0


def test_local_halves_and_tries_again_and_is_never_a_result() -> None:
    b = Bench(capacity=8)
    b.stage.local_until = 3
    b.accept(*(b"10.0.0.%d 1" % n for n in range(8)))
    b.begin()
    b.flow.reap(b.feed, b.now, b.epoch)
    assert b.flow.concurrency.limit == 4
    assert (b.flow.in_flight, b.flow.waiting) == (3, 5)
    at = b.flow.next_at(b.now)
    assert at is not None
    assert at > b.now
    for _ in range(20):
        b.turn()
        b.now += 1.0
        b.begin()
        b.flow.reap(b.feed, b.now, b.epoch)
    b.turn()
    assert sorted(b.values()) == [b"10.0.0.%d 1" % n for n in range(8)]
    assert b.flow.error is None
    assert b.position() == 1


def test_local_for_ever_stops_the_stage_with_its_reason() -> None:
    b = Bench(tries=3)
    b.accept(b"10.0.0.1 1")
    for _ in range(3):
        assert b.flow.error is None
        b.begin()
        (job,) = b.stage.held
        b.stage.held.clear()
        job.local("no descriptors are left")
        b.flow.reap(b.feed, b.now, b.epoch)
        b.now += 10.0
    assert isinstance(b.flow.error, HostError)
    assert "no descriptors are left (tried 3 times)" in str(b.flow.error)
    assert b.values() == []
    assert b.position() == 0


def test_local_for_ever_stops_the_stage_however_many_wait() -> None:
    """What was tried before is tried first: a last try that waits for a thousand others' first ones never comes."""
    b = Bench(tries=8, capacity=1)
    b.accept(*(b"10.0.%d.%d 1" % divmod(n, 256) for n in range(1000)))
    turns = 0
    while b.flow.error is None:
        turns += 1
        assert turns < 100
        b.begin()
        for job in b.stage.held:
            job.local("the database refuses us")
        b.stage.held.clear()
        b.flow.reap(b.feed, b.now, b.epoch)
        b.now += 0.5
    assert "(tried 8 times)" in str(b.flow.error)


def test_later_goes_to_the_later_topic_and_the_position_moves_on() -> None:
    b = Bench(put_off=True)
    b.accept(b"10.0.0.1 1 later %d" % (EPOCH + 5_000_000))
    b.begin()
    b.turn()
    (output,) = b.feed.outputs
    assert output.topic == TOPICS.later("echo")
    assert output.key == b"10.0.0"
    assert output.headers == {NOT_BEFORE: b"%d" % (EPOCH + 5_000_000)}
    assert b.position() == 1


def test_later_without_a_later_topic_waits_here() -> None:
    b = Bench()
    b.accept(b"10.0.0.1 1 later %d" % (EPOCH + 5_000_000))
    b.begin()
    b.turn()
    assert b.values() == []
    assert b.flow.next_at(b.now) == 5.0
    b.now = 5.0
    b.begin()
    (job,) = b.stage.held
    job.done()
    b.flow.reap(b.feed, b.now, b.epoch)
    assert b.position() == 1


def test_a_record_that_is_not_due_is_held_and_then_goes_its_way() -> None:
    b = Bench()
    b.accept(b"10.0.0.1 1", headers={NOT_BEFORE: b"%d" % (EPOCH + 2_000_000)})
    b.accept(b"10.0.0.1 2", headers={NOT_BEFORE: b"soon"})
    b.begin()
    assert b.stage.begun == [b"10.0.0.1 2"]
    assert b.flow.next_at(b.now) == 2.0
    b.now = 2.0
    b.begin()
    assert b.stage.begun == [b"10.0.0.1 2", b"10.0.0.1 1"]


def test_what_politeness_delays_for_long_is_put_off() -> None:
    b = Bench(limits=Limits(per_prefix=1, prefix_burst=1), put_off=True)
    b.accept(*(b"10.0.0.%d 1" % n for n in range(30)))
    b.begin()
    b.flow.put_off(b.now, b.epoch)
    assert b.metrics.later.total == 19  # one began, ten more do within the horizon
    assert {output.topic for output in b.feed.outputs} == {TOPICS.later("echo")}
    b.now += OVERDUE_EVERY / 2
    assert b.flow.next_at(b.now) is not None
    b.flow.put_off(b.now, b.epoch)
    assert b.metrics.later.total == 19


def test_the_fuse_judges_in_the_order_of_the_log() -> None:
    b = Bench(capacity=2000, span=10_000)
    b.accept(*(b"10.0.0.1 %d" % n for n in range(700)))
    b.begin()
    b.accept(*(b"{bad" for _ in range(600)))
    b.begin()
    assert b.flow.error is None  # 600 of 600 ends so far, but 700 good ones were before them
    b.turn()
    assert b.flow.error is None
    b.accept(*(b"{bad" for _ in range(600)))
    assert isinstance(b.flow.error, Fused)


def test_withdrawing_drops_what_is_not_begun_and_waits_for_the_rest() -> None:
    b = Bench(limits=Limits(per_host=1), capacity=2)
    b.accept(b"10.0.0.1 1", b"10.0.0.1 2", b"10.0.0.2 3", b"10.0.0.3 4")
    b.accept(b"10.0.0.4 5", headers={NOT_BEFORE: b"%d" % (EPOCH + 2_000_000)})
    b.begin()
    (span,) = b.flow.withdraw(b.feed, [("t.hits.v1", 0)])
    assert span.awaited == 2
    assert b.flow.waiting == 0
    b.stage.finish(lambda job: job.record[1] == "1")
    b.flow.reap(b.feed, b.now, b.epoch)
    assert span.awaited == 1
    (job,) = b.stage.held
    job.local("x")
    b.flow.reap(b.feed, b.now, b.epoch)
    assert span.awaited == 0
    assert b.flow.waiting == 0  # not tried again: it is another's now
    assert b.feed.lose([span]) == 4
    assert b.feed.records == 0


def test_results_after_the_partition_is_gone_are_dropped() -> None:
    b = Bench(limits=Limits(per_host=1))
    b.accept(b"10.0.0.1 1")
    b.begin()
    b.feed.lose(b.flow.withdraw(b.feed, [("t.hits.v1", 0)]))
    b.turn()
    assert b.values() == []
    assert b.metrics.late.total == 1
    assert (b.flow.in_flight, b.feed.records) == (0, 0)
    assert b.gate is not None
    assert b.gate.remembered == 0


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        (Limits(per_prefix=2), "1 network at its rate (--per-prefix 2"),
        (Limits(per_host=1), "1 host with all its connections open (--per-host 1)"),
        (Limits(rate=1, burst=1), "the rate of all (--max-rate 1)"),
    ],
)
def test_it_is_said_that_politeness_and_not_the_network_is_slow(
    limits: Limits, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    b = Bench(limits=limits)
    b.accept(*(b"10.0.0.1 %d" % n for n in range(90)))
    with caplog.at_level(logging.INFO, "longline.core.flow"):
        b.begin()
        b.now = POLITE_AFTER - 0.1
        b.begin()
        assert caplog.messages == []
        b.now = POLITE_AFTER
        b.begin()
        (message,) = caplog.messages
        b.now += POLITE_EVERY / 2
        b.begin()
        assert len(caplog.messages) == 1
        b.now += POLITE_EVERY / 2
        b.begin()
        assert len(caplog.messages) == 2
    assert "echo: politeness sets the pace, not the network" in message
    assert told in message


def test_a_full_hand_is_not_politeness(caplog: pytest.LogCaptureFixture) -> None:
    b = Bench(limits=Limits(per_host=1), capacity=2)
    b.accept(*(b"10.0.0.%d 1" % n for n in range(1, 9)))
    with caplog.at_level(logging.INFO, "longline.core.flow"):
        for b.now in (0.0, POLITE_AFTER, 2 * POLITE_AFTER):
            b.begin()
    assert caplog.messages == []


# -- more than one connection for a record -----------------------------------------------------------------------------


def test_what_needs_another_connection_waits_at_the_gate_and_is_finished_once() -> None:
    b = Bench(limits=Limits(per_host=1))
    b.accept(b"10.0.0.1 1", b"10.0.0.1 2")
    b.begin()
    (first,) = b.stage.held
    b.stage.held.clear()
    first.further("once more")
    b.flow.reap(b.feed, b.now, b.epoch)
    assert (b.flow.in_flight, b.feed.records, b.position(), b.metrics.done.total) == (0, 2, 0, 0)
    b.begin()
    (second,) = b.stage.held
    assert second.line == b"10.0.0.1 2", "it has no right to go before others of its host"
    b.stage.held.clear()
    second.done()
    b.flow.reap(b.feed, b.now, b.epoch)
    b.begin()
    (third,) = b.stage.held
    assert (third.record, third.line, third.tries) == ("once more", b"10.0.0.1 1", 0)
    third.done()
    b.flow.reap(b.feed, b.now, b.epoch)
    assert (b.feed.records, b.position(), b.metrics.done.total) == (0, 1, 2)


def test_what_follows_from_a_record_holds_its_position_until_it_is_finished() -> None:
    b = Bench(limits=Limits(per_host=1))
    b.accept(b"10.0.0.1 1")
    b.begin()
    (first,) = b.stage.held
    b.stage.held.clear()
    first.done((), Outcome.OK, [("one", b"line one"), ("two", b"line two")])
    b.flow.reap(b.feed, b.now, b.epoch)
    assert (b.feed.records, b.position(), b.metrics.done.total, b.flow.waiting) == (2, 0, 1, 2)
    for record, line in (("one", b"line one"), ("two", b"line two")):
        assert b.position() == 0
        b.begin()
        (job,) = b.stage.held
        b.stage.held.clear()
        assert (job.record, job.line, job.host) == (record, line, "10.0.0.1")
        job.done()
        b.flow.reap(b.feed, b.now, b.epoch)
    assert (b.feed.records, b.position(), b.metrics.done.total) == (0, 1, 3)


def test_what_follows_is_left_to_the_next_owner_of_a_partition() -> None:
    b = Bench(limits=Limits(per_host=1))
    b.accept(b"10.0.0.1 1", b"10.0.0.2 2")
    b.begin()
    one, two = b.stage.held
    b.flow.withdraw(b.feed, [("t.hits.v1", 0)])
    one.done((), Outcome.OK, [("one", b"line one")])
    two.further("two")
    b.flow.reap(b.feed, b.now, b.epoch)
    assert (b.flow.waiting, b.flow.in_flight, b.position()) == (0, 0, 0)
