"""Batches of the compiled engine, in the stage: their records are those that it makes of each conversation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stages.bannergrab.app import make_stage
from stages.bannergrab.settings import BannergrabSettings
from stages.bannergrab.stage import BannergrabStage
from stages.core.bus.base import Topics
from stages.core.outcome import Outcome
from stages.core.records import Banner, Hit, parse
from stages.net.continuation import Fixed
from stages.net.ended import Ended, OnEnded, conversation_of
from tests.bannergrab.test_lines import PEER_ADDRESS, STARTED, batch

#: The first test on a machine compiles the kernel.
pytestmark = pytest.mark.timeout(600)


class Job:
    def __init__(self, record: Hit) -> None:
        self.record = record
        self.outputs: Any = None
        self.outcome: Outcome | None = None

    def done(self, outputs: Any, outcome: Outcome) -> None:
        assert self.outputs is None
        self.outputs, self.outcome = outputs, outcome


class Continued:
    """What the stage opens, and what it asked for."""

    open = 0
    fixed: Fixed | None
    on_ended: OnEnded

    def __call__(self, dialer: Any, on_end: Any, on_spent: Any, fixed: Fixed | None, on_ended: OnEnded) -> Any:
        self.fixed, self.on_ended = fixed, on_ended
        return self


async def stage(**settings: Any) -> tuple[BannergrabStage, Continued]:
    engine = Continued()
    made = make_stage(
        BannergrabSettings(**settings), topics=Topics(), shared=True, blocked=lambda ip: False, go_on=engine
    )
    await made.start()
    return made, engine


def jobs(ended: Ended, hits: list[dict[str, Any]]) -> list[Job]:
    return [
        Job(Hit("a scan", STARTED, f"10.0.1.{int(row['peer']) & 255}", int(row["peer_port"]), **fields))
        for row, fields in zip(ended.rows, hits, strict=True)
    ]


HITS: list[dict[str, Any]] = [
    {}, {}, {"vantage": "elsewhere"}, {"name": "www.example.org"}, {"id": "0123456789abcdef" * 2}, {"id": "an id"},
    {"id": '"' * 32}, {"probe": "input"},
]  # fmt: skip


@pytest.mark.parametrize("asked", [False, True])
async def test_records_are_those_of_the_conversations(asked: bool) -> None:
    ours, engine = await stage()
    other, _ = await stage()
    ended = batch(*(({"peer": PEER_ADDRESS + i, "control": i % 2, "sent": i}, b"<%d>" % i) for i in range(len(HITS))))
    together, alone = jobs(ended, HITS), jobs(ended, HITS)
    engine.on_ended(ended, together, asked)
    for at, job in enumerate(alone):
        talk = other._script.begin("")
        other.finish(job, conversation_of(ended, at, talk, job, asked=asked))  # type: ignore[arg-type]
    for one, two in zip(together, alone, strict=True):
        (got,), (wanted,) = one.outputs, two.outputs
        assert (got.topic, got.key, one.outcome) == (wanted.topic, wanted.key, two.outcome)
        assert parse(got.value) == parse(wanted.value)
        record = parse(got.value)
        assert isinstance(record, Banner)
        assert (record.hit, record.name) == (one.record.id, one.record.name)
    numbers = [metrics._metrics for metrics in (ours, other)]
    for name in ("conversations", "received", "sent", "truncated"):
        mine, theirs = (getattr(each, name).cells for each in numbers)
        assert mine == theirs
    for name in ("connect_seconds", "seconds"):
        mine, theirs = (getattr(each, name) for each in numbers)
        assert (mine.counts, round(mine.sum, 6)) == (theirs.counts, round(theirs.sum, 6))


async def test_the_dialogue_is_compiled_where_it_can_be(tmp_path: Path) -> None:
    (tmp_path / "constant").write_bytes(b"GET / HTTP/1.0\r\n\r\n")
    (tmp_path / "named").write_bytes(b"GET / HTTP/1.0\r\nHost: %s\r\n\r\n")
    _, engine = await stage(data=str(tmp_path / "constant"), wait=0.5, idle_timeout=2.0, max_bytes=1000)
    assert engine.fixed == Fixed(b"GET / HTTP/1.0\r\n\r\n", 0.5, 4.0, 2.0, 30.0, 1000)
    _, engine = await stage()
    assert engine.fixed == Fixed()
    for settings in ({"data": str(tmp_path / "named")}, {"until": "x"}, {"talk": "ssh"}):
        _, engine = await stage(**settings)
        assert engine.fixed is None


async def test_a_pipe_with_a_form_of_its_own_needs_the_conversations() -> None:
    engine = Continued()
    settings = BannergrabSettings(format="hex")
    made = make_stage(
        settings, topics=Topics(), shared=False, blocked=lambda ip: False, text=True, go_on=engine
    )  # fmt: skip
    await made.start()
    assert engine.fixed is None
