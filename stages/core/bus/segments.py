"""The log in a SQLite file: tables, and what is done to them inside a transaction.

A topic is one log: a sequence of records, each with an offset. Records are not rows: a row is a *segment* of up to
SEGMENT_LINES of them as JSON Lines, which costs a fiftieth of a row for each. `position` = log << POSITION_BITS |
offset of the first record, so that the table's own B-tree is the index. A value that is not one line (a dead letter,
a batch that came as one message) is a segment of its own with one offset.

A reader is a group and the offset before which it has done everything; it is registered before it reads, since what
every registered reader has done is trimmed. `owner` is the process that reads for the group, a fence: who finds
another's token there has lost the group and commits nothing.

Functions of a connection; no thread, no clock.
"""

from __future__ import annotations

import sqlite3
from binascii import a2b_base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import orjson

from stages.core.bus.base import Chunk, Output, Partition
from stages.core.bus.batching import Headers, split
from stages.core.errors import HostError
from stages.core.record_fields import b64

MIGRATIONS: Final = (
    """
    CREATE TABLE bus_log (
        id INTEGER PRIMARY KEY,
        topic TEXT NOT NULL UNIQUE,
        first INTEGER NOT NULL DEFAULT 0,
        next INTEGER NOT NULL DEFAULT 0,
        bytes INTEGER NOT NULL DEFAULT 0
    );
    CREATE TABLE bus_segment (
        position INTEGER PRIMARY KEY,
        count INTEGER NOT NULL,
        whole INTEGER NOT NULL,
        headers BLOB,
        value BLOB NOT NULL
    );
    CREATE TABLE bus_reader (
        log INTEGER NOT NULL REFERENCES bus_log (id),
        grp TEXT NOT NULL,
        next INTEGER NOT NULL,
        owner TEXT,
        PRIMARY KEY (log, grp)
    ) WITHOUT ROWID
    """,
)

#: 2^44 records in a log, 2^19 logs in a file.
POSITION_BITS: Final = 44

#: Records in a segment: beyond some hundred the cost of the row is gone, and a segment is what one read holds.
SEGMENT_LINES: Final = 1_000

#: Bytes in a segment, unless one record alone is larger.
SEGMENT_BYTES: Final = 512 << 10

#: Records in a chunk: what is delivered again after a crash is at most this much more than was unfinished.
CHUNK_LINES: Final = 250

#: Records that all readers have done before they are deleted: deleting in larger pieces is cheaper.
TRIM_LINES: Final = 10_000

#: The number of a log's only partition.
PARTITION: Final = 0


@dataclass(slots=True, frozen=True)
class Segment:
    """A row to be: `count` offsets of `topic`."""

    topic: str
    count: int
    whole: bool
    headers: Headers | None
    value: bytes


def gather(outputs: Sequence[Output]) -> list[Segment]:
    """Outputs as segments, in order within each topic."""
    segments: list[Segment] = []
    held: dict[str, list[bytes]] = {}
    sizes: dict[str, int] = {}

    def flush(topic: str) -> None:
        lines = held.pop(topic, None)
        if lines:
            segments.append(Segment(topic, len(lines), False, None, b"\n".join(lines)))
        sizes[topic] = 0

    for output in outputs:
        topic = output.topic
        value = output.value
        if output.headers or not value or b"\n" in value or value.endswith(b"\r"):
            flush(topic)
            segments.append(Segment(topic, 1, True, output.headers, value))
            continue
        lines = held.get(topic)
        if lines is None:
            held[topic] = [value]
            sizes[topic] = len(value)
            continue
        size = sizes[topic] + len(value) + 1
        if len(lines) >= SEGMENT_LINES or size > SEGMENT_BYTES:
            flush(topic)
            held[topic] = [value]
            sizes[topic] = len(value)
            continue
        lines.append(value)
        sizes[topic] = size
    for topic in list(held):
        flush(topic)
    return segments


def log_id(connection: sqlite3.Connection, topic: str) -> int:
    """The number of a topic's log, made if missing."""
    row = connection.execute("SELECT id FROM bus_log WHERE topic = ?", (topic,)).fetchone()
    if row is None:
        row = connection.execute("INSERT INTO bus_log (topic) VALUES (?) RETURNING id", (topic,)).fetchone()
    return int(row[0])


def append(connection: sqlite3.Connection, segments: Iterable[Segment]) -> None:
    """Write segments at the ends of their logs."""
    ends: dict[str, list[int]] = {}
    for segment in segments:
        end = ends.get(segment.topic)
        if end is None:
            number = log_id(connection, segment.topic)
            row = connection.execute("SELECT next, bytes FROM bus_log WHERE id = ?", (number,)).fetchone()
            end = ends[segment.topic] = [number, *row]
        headers = None
        if segment.headers:
            headers = orjson.dumps({name: b64(value) for name, value in segment.headers.items()})
        connection.execute(
            "INSERT INTO bus_segment VALUES (?, ?, ?, ?, ?)",
            (end[0] << POSITION_BITS | end[1], segment.count, segment.whole, headers, segment.value),
        )
        end[1] += segment.count
        end[2] += len(segment.value)
    for number, following, size in ends.values():
        connection.execute("UPDATE bus_log SET next = ?, bytes = ? WHERE id = ?", (following, size, number))


def is_full(connection: sqlite3.Connection, topics: Iterable[str], bound: int) -> bool:
    """Whether one of the logs holds `bound` bytes or more, after what can be deleted is deleted."""
    for topic in topics:
        row = connection.execute("SELECT id, bytes FROM bus_log WHERE topic = ?", (topic,)).fetchone()
        if row is not None and row[1] >= bound and row[1] - trim(connection, row[0], least=1) >= bound:
            return True
    return False


def is_stuck(connection: sqlite3.Connection, topics: Iterable[str], bound: int) -> bool:
    """Whether one of the logs is full, and nothing of it can be deleted yet. Only reads."""
    for topic in topics:
        row = connection.execute("SELECT id, bytes, first FROM bus_log WHERE topic = ?", (topic,)).fetchone()
        if row is not None and row[1] >= bound and _done(connection, row[0], row[2]) == row[2]:
            return True
    return False


def _done(connection: sqlite3.Connection, number: int, first: int) -> int:
    """The offset before which every segment is done by every registered reader, `first` if there is none."""
    done = connection.execute("SELECT min(next) FROM bus_reader WHERE log = ?", (number,)).fetchone()[0]
    if done is None or done <= first:
        return first
    base = number << POSITION_BITS
    position, count = connection.execute(  # the last segment that begins before `done`
        "SELECT position, count FROM bus_segment WHERE position >= ? AND position < ? ORDER BY position DESC LIMIT 1",
        (base | first, base | done),
    ).fetchone()
    start = int(position) - base
    return int(done) if start + count <= done else start


def trim(connection: sqlite3.Connection, number: int, least: int = TRIM_LINES) -> int:
    """Delete the segments that every registered reader has done, if these are `least` records; returns their bytes."""
    first = connection.execute("SELECT first FROM bus_log WHERE id = ?", (number,)).fetchone()[0]
    cut = _done(connection, number, first)
    if cut - first < least:
        return 0
    base = number << POSITION_BITS
    span = (base | first, base | cut)
    size = connection.execute(
        "SELECT total(length(value)) FROM bus_segment WHERE position >= ? AND position < ?", span
    ).fetchone()[0]
    connection.execute("DELETE FROM bus_segment WHERE position >= ? AND position < ?", span)
    connection.execute("UPDATE bus_log SET first = ?, bytes = bytes - ? WHERE id = ?", (cut, int(size), number))
    return int(size)


def register(connection: sqlite3.Connection, topics: Iterable[str], group: str) -> None:
    """From now on `group` reads the topics: what it has not done is kept. A new group starts at the oldest record."""
    for topic in topics:
        connection.execute(
            "INSERT INTO bus_reader (log, grp, next) SELECT id, ?, first FROM bus_log WHERE id = ?"
            " ON CONFLICT (log, grp) DO NOTHING",
            (group, log_id(connection, topic)),
        )


def forget(connection: sqlite3.Connection, group: str) -> int:
    """`group` never comes back: nothing is kept for it. Returns the number of topics that it read."""
    return connection.execute("DELETE FROM bus_reader WHERE grp = ?", (group,)).rowcount


def forget_dead(connection: sqlite3.Connection, prefix: str, alive: Callable[[str], bool]) -> None:
    """Strike out readers whose groups begin with `prefix` and whose processes are gone."""
    rows = connection.execute(
        "SELECT DISTINCT grp, owner FROM bus_reader WHERE substr(grp, 1, ?) = ?", (len(prefix), prefix)
    ).fetchall()
    for group, holder in rows:
        if holder is None or not alive(holder):
            forget(connection, group)


def own(
    connection: sqlite3.Connection, topics: Sequence[str], group: str, owner: str, alive: Callable[[str], bool]
) -> dict[str, int]:
    """Take the group for `owner`; returns where to go on in each topic. Raises HostError if another `alive` has it."""
    register(connection, topics, group)
    found: dict[str, int] = {}
    for topic in topics:
        following, holder = connection.execute(
            "SELECT next, owner FROM bus_reader WHERE log = ? AND grp = ?", (log_id(connection, topic), group)
        ).fetchone()
        if holder is not None and holder != owner and alive(holder):
            raise HostError(f"group {group!r} already reads {topic} in process {holder.partition('-')[0]}")
        found[topic] = following
    connection.execute("UPDATE bus_reader SET owner = ? WHERE grp = ?", (owner, group))
    return found


def disown(connection: sqlite3.Connection, owner: str) -> None:
    """Leave the group; its position stays."""
    connection.execute("UPDATE bus_reader SET owner = NULL WHERE owner = ?", (owner,))


def commit(connection: sqlite3.Connection, group: str, owner: str, positions: Mapping[Partition, int]) -> None:
    """Everything before the positions is done. Raises HostError if the group has another owner now."""
    for (topic, _), following in positions.items():
        row = connection.execute(
            "UPDATE bus_reader SET next = ? WHERE log = (SELECT id FROM bus_log WHERE topic = ?) AND grp = ?"
            " AND owner = ? RETURNING log",
            (following, topic, group, owner),
        ).fetchone()
        if row is None:
            raise HostError(f"group {group!r} has been taken over by another process")
        trim(connection, row[0])


def lag(connection: sqlite3.Connection, topics: Iterable[str], group: str) -> int:
    """Records of the topics that the group has not done."""
    return sum(
        int(row[0])
        for topic in topics
        for row in connection.execute(
            "SELECT bus_log.next - ifnull(bus_reader.next, first) FROM bus_log"
            " LEFT JOIN bus_reader ON log = id AND grp = ? WHERE topic = ?",
            (group, topic),
        )
    )


def end(connection: sqlite3.Connection, topic: str) -> int:
    """The offset behind the last line of a topic; 0 where there is none."""
    row = connection.execute("SELECT next FROM bus_log WHERE topic = ?", (topic,)).fetchone()
    return 0 if row is None else int(row[0])


def read(connection: sqlite3.Connection, topic: str, offset: int, max_bytes: int) -> list[Chunk]:
    """The chunks from `offset` on: whole segments of together about `max_bytes`, at least one if there is one."""
    number = connection.execute("SELECT id FROM bus_log WHERE topic = ?", (topic,)).fetchone()
    if number is None:
        return []
    base = number[0] << POSITION_BITS
    chunks: list[Chunk] = []
    rows = connection.execute(  # from the segment that holds `offset`
        "SELECT position, count, whole, headers, value FROM bus_segment WHERE position < ? AND position >= ifnull("
        "(SELECT max(position) FROM bus_segment WHERE position BETWEEN ? AND ?), ?) ORDER BY position",
        (base + (1 << POSITION_BITS), base, base | offset, base | offset),
    )
    for position, count, whole, packed, value in rows:
        start = position - base
        if whole:
            headers = None
            if packed is not None:
                headers = {name: a2b_base64(text) for name, text in orjson.loads(packed).items()}
            if start >= offset:
                chunks.append(Chunk(topic, PARTITION, start, start + 1, split(value, headers), headers))
        else:
            lines = value.split(b"\n")
            for at in range(max(start, offset), start + count, CHUNK_LINES):
                upto = min(at + CHUNK_LINES, start + count)
                chunks.append(Chunk(topic, PARTITION, at, upto, lines[at - start : upto - start]))
        max_bytes -= len(value)
        if max_bytes <= 0:
            rows.close()
            break
    return chunks
