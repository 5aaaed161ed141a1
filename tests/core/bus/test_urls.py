from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from stages.core.bus.base import Output
from stages.core.bus.kafka import KafkaBroadcast, KafkaPublisher, KafkaSource, KafkaTail
from stages.core.bus.memory import MemoryBroadcast, MemoryBus, MemoryPublisher, MemorySource, MemoryTail
from stages.core.bus.pipe import PipePublisher, PipeSource
from stages.core.bus.sqlite import SqliteBroadcast, SqlitePublisher, SqliteSource, SqliteTail
from stages.core.bus.urls import expect, open_broadcast, open_publisher, open_source, open_tail
from stages.core.errors import UsageError
from stages.core.settings import BusSettings
from tests.core.bus.contract import HITS, lines, never, read

SETTINGS = BusSettings(
    batch_lines=7, partitions=3, member="pod-0", max_log_bytes=1 << 20, dead="dead.jsonl", sasl_username="u"
)


def test_pipe() -> None:
    source, publisher = open_source("-", [HITS], "g", SETTINGS), open_publisher("-", SETTINGS, main=HITS, stage="grab")
    assert isinstance(source, PipeSource)
    assert source.topic == HITS
    assert isinstance(publisher, PipePublisher)
    assert publisher.topic == HITS


@pytest.mark.parametrize("url", ["sqlite:some/file.db", "sqlite://some/file.db"])
def test_sqlite(url: str) -> None:
    source, publisher = open_source(url, [HITS], "g", SETTINGS), open_publisher(url, SETTINGS)
    assert isinstance(source, SqliteSource)
    assert isinstance(publisher, SqlitePublisher)
    assert (source.path, source.topics, source.group) == ("some/file.db", (HITS,), "g")
    assert publisher.path == "some/file.db"


def test_sqlite_absolute() -> None:
    assert open_publisher("sqlite:///var/lib/a.db", SETTINGS).path == "/var/lib/a.db"  # type: ignore[attr-defined]


def test_kafka() -> None:
    url = "kafka://one:9092,[::1]:9093"
    source, publisher = open_source(url, [HITS], "g", SETTINGS), open_publisher(url, SETTINGS, main=HITS)
    assert isinstance(source, KafkaSource)
    assert isinstance(publisher, KafkaPublisher)
    assert source.options == publisher.options
    assert source.options.bootstrap == ("one:9092", "[::1]:9093")
    assert (source.options.batch_lines, source.options.partitions, source.options.member) == (7, 3, "pod-0")
    assert publisher.topics == (HITS,)


def test_tails() -> None:
    one, two, here = (open_tail(url, HITS, b"k", SETTINGS) for url in ("sqlite:a.db", "kafka://b:1", "memory:here"))
    assert isinstance(one, SqliteTail)
    assert isinstance(two, KafkaTail)
    assert (two.topic, two.key, two.options.bootstrap) == (HITS, b"k", ("b:1",))
    assert isinstance(here, MemoryTail)
    MemoryBus.forget("here")
    with pytest.raises(UsageError, match="holds nothing for a key"):
        open_tail("-", HITS, b"k", SETTINGS)


def test_memory() -> None:
    source, publisher = open_source("memory:here", [HITS], "g", SETTINGS), open_publisher("memory:here", SETTINGS)
    assert isinstance(source, MemorySource)
    assert isinstance(publisher, MemoryPublisher)
    assert source.bus is publisher.bus is MemoryBus.named("here")
    MemoryBus.forget("here")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "sqlite:",
        "kafka://",
        "kafka://a:b",
        "kafka://a:0",
        "kafka://a:99999",
        "kafka:a:1",
        "kafka://a:1/topic",
        "kafka://a:1?acks=0",
        "kafka://a:1#x",
        "http://a",
        "x.db",
    ],
)
def test_no_url(url: str) -> None:
    with pytest.raises(UsageError):
        open_source(url, [HITS], "g", SETTINGS)
    with pytest.raises(UsageError):
        open_publisher(url, SETTINGS)


async def test_expect(tmp_path: Path) -> None:
    url = f"sqlite:{tmp_path}/log.db"
    await expect(url, [HITS], "late")
    await expect("kafka://127.0.0.1:1", [HITS], "late")
    publisher, source = open_publisher(url, SETTINGS), open_source(url, [HITS], "late", SETTINGS)
    await publisher.start()
    await publisher.publish([Output(HITS, b"k", b"x")])
    await source.start(never)
    assert lines(await read(source, 1)) == [b"x"]
    await source.close()
    await publisher.close()


def test_nothing_heavy_is_imported_before_it_is_opened() -> None:
    code = "import sys, stages.core.bus.urls; print([m for m in ('aiokafka', 'sqlite3') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


async def test_a_broadcast_of_each_log_and_of_no_pipe(tmp_path: Path) -> None:
    assert isinstance(open_broadcast("kafka://broker", "t.orders.v1", SETTINGS), KafkaBroadcast)
    assert isinstance(open_broadcast(f"sqlite:{tmp_path}/bus.db", "t.orders.v1", SETTINGS), SqliteBroadcast)
    assert isinstance(open_broadcast("memory:broadcast", "t.orders.v1", SETTINGS), MemoryBroadcast)
    with pytest.raises(UsageError, match="holds nothing"):
        open_broadcast("-", "t.orders.v1", SETTINGS)
