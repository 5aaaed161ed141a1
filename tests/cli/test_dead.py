"""`longline dead`: what no stage could process, out of the log and back into it, over both logs."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from stages.core.bus.base import Output, Topics
from stages.core.bus.urls import look, open_publisher
from stages.core.deadletters import dead_letter
from stages.core.outcome import DeadReason, Outcome, Phase
from stages.core.records import Banner
from stages.core.settings import BusSettings
from tests.cli.command import longline
from tests.servers.kafka import KafkaServer

GOOD = Banner("s", 1, "192.0.2.1", 80, Outcome.OK, Phase.READ, probe="wait", data=b"x").dump().decode()
#: Mended by one word.
BAD = GOOD.replace("192.0.2.1", "192.0.2.300")


@dataclass(frozen=True)
class Log:
    """A log of the test's own."""

    url: str
    topics: Topics

    @property
    def words(self) -> tuple[str, ...]:
        return ("--bus", self.url, "--topic-prefix", self.topics.prefix)

    def put(self, *outputs: Output) -> None:
        async def publish() -> None:
            publisher = open_publisher(self.url, BusSettings())
            await publisher.start()
            await publisher.publish(outputs)
            await publisher.close()

        asyncio.run(publish())

    def read(self, topic: str) -> list[bytes]:
        async def lines() -> list[bytes]:
            return [line async for chunk in look(self.url, topic, BusSettings()) for line in chunk.lines]

        return asyncio.run(lines())

    def dead(self, line: str | bytes, reason: DeadReason, detail: str, stage: str = "sink") -> Output:
        data = line.encode() if isinstance(line, str) else line
        return dead_letter(self.topics, stage, data, reason, detail, (self.topics.banners, 3, 7))


@pytest.fixture(params=["sqlite", "kafka"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Log:
    """With three dead letters in it, of two kinds."""
    if request.param == "sqlite":
        made = Log(f"sqlite:{tmp_path}/log.db", Topics())
    else:
        kafka: KafkaServer = request.getfixturevalue("kafka")
        made = Log(f"kafka://{kafka.bootstrap}", Topics(f"t{uuid4().hex[:8]}"))
    made.put(
        made.dead(BAD, DeadReason.SCHEMA, "ip is '192.0.2.300', not an address"),
        made.dead(b"\xff\n\0", DeadReason.UNDECODABLE, "not JSON"),
        made.dead(BAD.replace("300", "400"), DeadReason.SCHEMA, "ip is '192.0.2.400', not an address"),
    )
    return made


def test_counted_shown_mended_and_put_back(log: Log, tmp_path: Path) -> None:
    listed = longline("dead", "list", *log.words, "--json")
    assert listed.returncode == 0, listed.stderr
    assert [(row["reason"], row["topic"], row["number"]) for row in map(json.loads, listed.stdout.splitlines())] == [
        ("schema", log.topics.banners, 2), ("undecodable", log.topics.banners, 1),
    ]  # fmt: skip
    table = longline("dead", "list", *log.words, "--reason", "schema").stdout.splitlines()
    assert table[0].split() == ["stage", "reason", "topic", "number", "latest_error"]
    assert len(table) == 2
    assert longline("dead", "list", *log.words, "--stage", "bannergrab", "--json").stdout == ""

    shown = longline("dead", "show", *log.words)
    letters = [json.loads(line) for line in shown.stdout.splitlines()]
    assert sorted(letter["line"] or "" for letter in letters) == sorted([BAD, BAD.replace("300", "400"), ""])
    assert {letter["source"]["offset"] for letter in letters} == {7}

    mended = tmp_path / "mended.jsonl"
    mended.write_text(shown.stdout.replace("192.0.2.300", "192.0.2.1"))
    ran = longline("dead", "replay", mended, *log.words)
    assert ran.returncode == 2
    assert ran.stdout == "1 lines put back, 2 refused\n"
    assert "mended.jsonl line" in ran.stderr
    assert "192.0.2.400" in ran.stderr
    assert log.read(log.topics.banners) == [GOOD.encode()]
    again = longline("dead", "replay", "-", *log.words, stdin=mended.read_text().splitlines()[0] + "\n")
    assert again.stdout in ("1 lines put back, 0 refused\n", "0 lines put back, 1 refused\n")
    assert len(log.read(log.topics.dead)) == 3  # they stay


def test_lines_go_back_to_topics_of_ours_only(log: Log, tmp_path: Path) -> None:
    letter = json.loads(longline("dead", "show", *log.words).stdout.splitlines()[0])
    for topic in (log.topics.dead, "elsewhere.hits.v1"):
        (tmp_path / "one.jsonl").write_text(json.dumps({**letter, "line": GOOD, "source": {"topic": topic}}) + "\n")
        ran = longline("dead", "replay", tmp_path / "one.jsonl", *log.words)
        assert (ran.returncode, ran.stdout) == (2, "0 lines put back, 1 refused\n")
        assert topic in ran.stderr


def test_a_log_without_dead_letters(tmp_path: Path) -> None:
    log = Log(f"sqlite:{tmp_path}/log.db", Topics())
    log.put(Output(log.topics.banners, b"192.0.2", GOOD.encode()))
    assert longline("dead", "show", *log.words).stdout == ""
    assert log.read(log.topics.banners) == [GOOD.encode()]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("list", "file", "--bus", "sqlite:x.db"), "takes no files"),
        (("replay", "--bus", "sqlite:x.db"), "needs FILES"),
        (("show",), "holds nothing"),
        (("replay", "-"), "holds nothing"),
        (("show", "--bus", "sqlite:none.db"), "no such file"),
        (("show", "--bus", "sqlite:none.db", "--reason", "bad luck"), "--reason"),
    ],
)
def test_what_cannot_be(tmp_path: Path, words: tuple[str, ...], told: str) -> None:
    ran = longline("dead", *words, cwd=tmp_path)
    assert ran.returncode == 2
    assert told in ran.stderr
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    log = Log(f"sqlite:{tmp_path}/log.db", Topics())
    log.put(Output(log.topics.banners, b"192.0.2", GOOD.encode()))
    ran = longline("dead", "replay", tmp_path / "none.jsonl", *log.words)
    assert ran.returncode == 2
    assert "none.jsonl" in ran.stderr
