from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.core.bus import segments
from stages.core.bus.base import Output
from stages.core.bus.batching import split
from stages.core.errors import HostError

HEADERS = {"reason": b"\x00\xff"}


def database() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    for statement in segments.MIGRATIONS[0].split(";"):
        connection.execute(statement)
    return connection


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    held = database()
    yield held
    held.close()


def everything(connection: sqlite3.Connection, topic: str, offset: int = 0) -> list[bytes]:
    return [line for chunk in segments.read(connection, topic, offset, 1 << 30) for line in chunk.lines]


def put(connection: sqlite3.Connection, count: int, topic: str = "t", value: bytes = b"x") -> None:
    segments.append(connection, segments.gather([Output(topic, b"k", value)] * count))


VALUES = st.lists(
    st.builds(
        Output,
        st.sampled_from(["a", "b"]),
        st.just(b"k"),
        st.one_of(st.binary(max_size=5), st.sampled_from([b"a\nb", b"\n", b"", b"x\r", b"x" * 300_000])),
        st.sampled_from([None, None, HEADERS]),
    ),
    max_size=30,
)


@given(VALUES, VALUES)
def test_what_is_appended_is_read(first: list[Output], second: list[Output]) -> None:
    connection = database()
    for outputs in (first, second):
        segments.append(connection, segments.gather(outputs))
    for topic in ("a", "b"):
        mine = [output for output in first + second if output.topic == topic]
        assert everything(connection, topic) == [line for o in mine for line in split(o.value, o.headers)]
        chunks = segments.read(connection, topic, 0, 1 << 30)
        assert [chunk.offset for chunk in chunks] == [0, *[chunk.next_offset for chunk in chunks[:-1]]][: len(chunks)]
    connection.close()


@given(st.integers(1, 3_000), st.integers(0, 3_000))
def test_reading_from_any_offset(count: int, offset: int) -> None:
    connection = database()
    for start in range(0, count, 700):
        outputs = [Output("t", b"k", b"%d" % i) for i in range(start, min(start + 700, count))]
        segments.append(connection, segments.gather(outputs))
    assert everything(connection, "t", offset) == [b"%d" % i for i in range(offset, count)]
    connection.close()


def test_segments_are_bounded() -> None:
    made = segments.gather([Output("t", b"k", b"x")] * 2_500)
    assert [segment.count for segment in made] == [1_000, 1_000, 500]
    made = segments.gather([Output("t", b"k", b"x" * 200_000)] * 5)
    assert [segment.count for segment in made] == [2, 2, 1]


def test_a_read_is_bounded(connection: sqlite3.Connection) -> None:
    for _ in range(5):
        put(connection, 10, value=b"x" * 99)
    assert len(segments.read(connection, "t", 0, 1_500)) == 2
    assert len(segments.read(connection, "t", 0, 1)) == 1
    assert segments.read(connection, "other", 0, 1) == []


def test_trim_never_passes_a_reader(connection: sqlite3.Connection) -> None:
    segments.own(connection, ["t"], "fast", "1", bool)
    segments.own(connection, ["t"], "slow", "2", bool)
    for _ in range(4):
        put(connection, 10)
    number = segments.log_id(connection, "t")
    assert segments.trim(connection, number, 1) == 0
    segments.commit(connection, "fast", "1", {("t", 0): 40})
    segments.commit(connection, "slow", "2", {("t", 0): 25})
    assert segments.trim(connection, number, 30) == 0  # not worth it
    assert segments.trim(connection, number, 1) == 2 * 19
    assert len(everything(connection, "t")) == 20
    assert len(everything(connection, "t", 25)) == 15
    segments.commit(connection, "slow", "2", {("t", 0): 40})
    assert segments.trim(connection, number, 1) == 2 * 19
    assert connection.execute("SELECT first, next, bytes FROM bus_log").fetchone() == (40, 40, 0)
    put(connection, 1)
    assert everything(connection, "t", 40) == [b"x"]


def test_full_and_stuck(connection: sqlite3.Connection) -> None:
    segments.own(connection, ["t"], "g", "1", bool)
    put(connection, 10)
    assert not segments.is_full(connection, ["t", "other"], 20)
    assert not segments.is_stuck(connection, ["t", "other"], 20)
    put(connection, 10)
    assert segments.is_stuck(connection, ["t"], 20)
    assert segments.is_full(connection, ["t"], 20)
    segments.commit(connection, "g", "1", {("t", 0): 9})
    assert segments.is_stuck(connection, ["t"], 20)  # within a segment
    segments.commit(connection, "g", "1", {("t", 0): 10})
    assert not segments.is_stuck(connection, ["t"], 20)
    assert not segments.is_full(connection, ["t"], 20)


def test_a_new_group_starts_at_the_oldest_record(connection: sqlite3.Connection) -> None:
    put(connection, 3)
    assert segments.own(connection, ["t", "new"], "g", "1", bool) == {"t": 0, "new": 0}
    assert segments.lag(connection, ["t", "new"], "g") == 3
    assert segments.lag(connection, ["t"], "nobody") == 3
    segments.commit(connection, "g", "1", {("t", 0): 2})
    assert segments.own(connection, ["t"], "g", "1", bool) == {"t": 2}
    assert segments.forget(connection, "g") == 2


def test_owners(connection: sqlite3.Connection) -> None:
    segments.own(connection, ["t"], "g", "17-a", lambda token: True)
    with pytest.raises(HostError, match="already reads t in process 17"):
        segments.own(connection, ["t"], "g", "18-b", lambda token: True)
    segments.own(connection, ["t"], "g", "18-b", lambda token: False)  # it is dead
    with pytest.raises(HostError, match="taken over"):
        segments.commit(connection, "g", "17-a", {("t", 0): 1})
    segments.disown(connection, "18-b")
    segments.own(connection, ["t"], "g", "19-c", lambda token: True)
