"""What all grabs have in common, with an engine that only remembers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from stages.core import grab as module
from stages.core.bus.base import Output
from stages.core.errors import Confined, RecordError
from stages.core.grab import POSTPONE, Grab
from stages.core.intake import read_hit
from stages.core.job import Job
from stages.core.metrics import Gauge
from stages.core.orders import Order, Standing
from stages.core.outcome import DeadReason, Outcome
from stages.core.records import Hit
from stages.core.routing import Routing


@dataclass
class Remembering:
    dialled: list[str] = field(default_factory=list)
    jobs: list[Any] = field(default_factory=list)
    closed: int = 0
    aborted: int = 0

    @property
    def open(self) -> int:
        return len(self.dialled)

    def abort_all(self) -> None:
        self.aborted += 1
        self.dialled.clear()

    def recall(self, which: Callable[[Any], bool]) -> list[Any]:
        recalled = [job for job in self.jobs if which(job)]
        self.jobs = [job for job in self.jobs if not which(job)]
        return recalled

    async def close(self) -> None:
        self.closed += 1


class Plain(Grab[Remembering, Any]):
    name = "plain"

    def __init__(self, blocked: Callable[[str], bool] = lambda _: False, routing: Routing | None = None) -> None:
        self.gauge = Gauge("open", "")
        super().__init__(
            read=read_hit,
            routing=routing if routing is not None else Routing.everything(),
            transport="tcp",
            blocked=blocked,
            opened=self.gauge,
        )
        self.engine = Remembering()

    def open_engine(self) -> Remembering:
        return self.engine

    def dial(self, engine: Remembering, job: Job, hit: Hit) -> None:
        if hit.name == "no name":
            raise ValueError("that is no name")
        if hit.ip == "192.0.2.66":
            raise PermissionError("confined")
        engine.dialled.append(hit.ip)
        engine.jobs.append(job)

    def finish(self, job: Job, conversation: Any) -> None:
        if conversation.errno == 24:
            self.local(job, conversation)
            return
        job.done([Output("t", b"", b"%d" % (1 // conversation.number))], Outcome.OK)

    def refusal(self, hit: Hit, ts: int) -> Sequence[Output]:
        return [Output("t", b"", f"refused {hit.ip}".encode())]


def hit(ip: str = "192.0.2.1", port: int = 80, scan: str = "s", **more: Any) -> Hit:
    return Hit(scan=scan, ts=1, ip=ip, port=port, **more)


class FakeJob:
    """Remembers how it ended."""

    def __init__(self, record: Hit) -> None:
        self.record = record
        self.ends: list[tuple[Any, ...]] = []

    def done(self, outputs: Sequence[Output] = (), outcome: Outcome = Outcome.OK) -> None:
        self.ends.append(("done", [output.value for output in outputs], outcome))

    def later(self, not_before: int) -> None:
        self.ends.append(("later", not_before))

    def recalled(self) -> None:
        self.ends.append(("recalled",))

    def dead(self, reason: DeadReason, detail: str) -> None:
        self.ends.append(("dead", reason, detail))

    def local(self, detail: str) -> None:
        self.ends.append(("local", detail))


def take(grab: Plain, *hits: Hit) -> list[Any]:
    jobs: list[Any] = [FakeJob(one) for one in hits]
    grab.take(jobs)
    return jobs


def test_what_is_ours() -> None:
    grab = Plain(routing=Routing.of([0, 80]))
    assert grab.decode(hit().dump()) == hit()
    for other in (hit(port=81), hit(success=False), hit(repeat=True), hit(transport="udp"), hit(transport="icmp")):
        assert grab.decode(other.dump()) is None
    assert grab.target(hit()) == "192.0.2.1"
    with pytest.raises(RecordError) as caught:
        grab.decode(hit(port=0).dump())
    assert caught.value.reason is DeadReason.TARGET
    with pytest.raises(RecordError):
        grab.decode(b"192.0.2.1")


async def test_blocked_at_intake_and_again_at_dial() -> None:
    forbidden: set[str] = {"192.0.2.1"}
    grab = Plain(blocked=forbidden.__contains__)
    await grab.start()
    (output,) = grab.admit(hit()) or ()
    assert output.value == b"refused 192.0.2.1"
    assert grab.admit(hit("192.0.2.2")) is None
    forbidden.add("192.0.2.2")
    (job,) = take(grab, hit("192.0.2.2"))
    assert job.ends == [("done", [b"refused 192.0.2.2"], Outcome.BLOCKED)]
    assert grab.engine.dialled == []


async def test_what_an_order_is_against_comes_again_when_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "time", lambda: 100.0)
    forbidden: set[str] = set()
    grab = Plain(blocked=forbidden.__contains__)
    grab.heed(Standing())
    await grab.start()
    weekly, other, away = take(grab, hit(scan="weekly-1"), hit("192.0.2.2"), hit("192.0.2.3"))
    forbidden.add("192.0.2.3")
    campaign = Standing((Order("stop", "campaign", "weekly"), Order("stop", "prefix", "192.0.2.3")))
    grab.heed(campaign)
    due = int((100 + POSTPONE) * 1e6)
    assert weekly.ends == [("later", due)]
    assert other.ends == []
    assert away.ends == [("done", [b"refused 192.0.2.3"], Outcome.BLOCKED)]
    late, free = take(grab, hit(scan="weekly-1"), hit("192.0.2.4"))
    assert late.ends == [("later", due)]
    assert free.ends == []
    grab.heed(Standing((Order("stop", "all"),)))
    assert other.ends == free.ends == [("recalled",)]
    grab.heed(Standing())
    (again,) = take(grab, hit(scan="weekly-1"))
    assert again.ends == []


async def test_a_target_that_is_none_costs_one_record() -> None:
    grab = Plain()
    await grab.start()
    bad, good = take(grab, hit(name="no name"), hit("192.0.2.3"))
    assert bad.ends == [("dead", DeadReason.TARGET, "that is no name")]
    assert good.ends == []
    assert grab.engine.dialled == ["192.0.2.3"]
    assert grab.gauge.value == 1


async def test_confined_the_stage_stops() -> None:
    grab = Plain()
    await grab.start()
    with pytest.raises(Confined, match="confined"):
        take(grab, hit("192.0.2.66"))


def test_each_that_ended_is_finished_once() -> None:
    grab = Plain()
    jobs = [FakeJob(hit()) for _ in range(4)]
    ended = [
        SimpleNamespace(tag=jobs[0], fault=None, errno=None, number=1, phase="read"),
        SimpleNamespace(tag=jobs[1], fault=KeyError("of the dialogue"), errno=None, number=1, phase="read"),
        SimpleNamespace(tag=jobs[2], fault=None, errno=None, number=0, phase="read"),
        SimpleNamespace(tag=jobs[3], fault=None, errno=24, number=1, phase="connect"),
    ]
    grab.on_end(ended)
    assert [job.ends for job in jobs] == [
        [("done", [b"1"], Outcome.OK)],
        [("dead", DeadReason.BUG, "KeyError: 'of the dialogue'")],
        [("dead", DeadReason.BUG, "ZeroDivisionError: integer division or modulo by zero")],
        [("local", "connect: Too many open files")],
    ]


async def test_the_engine_lives_as_long_as_the_stage() -> None:
    grab = Plain()
    grab.cancel()
    await grab.close()
    assert (grab.engine.aborted, grab.engine.closed) == (0, 0)
    await grab.start()
    grab.cancel()
    await grab.close()
    await grab.close()
    assert (grab.engine.aborted, grab.engine.closed) == (1, 1)
    assert grab.gauge.read is None
