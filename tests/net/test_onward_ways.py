"""The two ways on. With packets and real servers: tests/integration/test_ways.py; here what leads there."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import Any

import numpy as np
import pytest

from stages.net.continuation import Fixed
from stages.net.conversation import Conversation
from stages.net.dialing import Dialer
from stages.net.ended import ENDED, READ, Ended
from stages.net.firewall import NoLease
from stages.net.halfopen import HALFOPEN
from stages.net.onward import Waiting
from stages.net.onward_ways import Adopt, Raw
from stages.proto.banner import Script
from tests.require import require
from tests.servers.talkers import talker


def half(own_port: int = 40_000) -> Any:
    row = np.zeros(1, HALFOPEN)
    row["peer"], row["ours"], row["peer_port"], row["own_port"] = 0x7F000001, 0xC0000202, 80, own_port
    row["ts"], row["rtt"], row["mss"] = 1_795_245_000_500_000, 0.25, 1460
    return row[0]


def waiting(tag: object, host: str = "192.0.2.7", port: int = 80) -> Waiting:
    class Hit:
        ip, ts, rtt, source, tcp = host, 0, None, None, None

    Hit.port = port  # type: ignore[attr-defined]
    return Waiting(Hit(), half().tobytes(), Script(first=30.0).begin(""), tag, 30.0, 100)  # type: ignore[arg-type]


def test_nothing_is_opened_where_no_scanner_holds_a_lease() -> None:
    require(os.path.exists("/proc/thread-self/net/unix"), "Linux")
    raw = Raw(capacity=1, close="fin", control=None, keep_data=True)
    with pytest.raises(NoLease, match=r"192\.0\.2\.2 port 40000"):
        raw.open(half(), 8)
    raw.close()
    assert not raw.covers("192.0.2.2", 40_000)
    assert raw.in_flight == 0


class Engine:
    """User-space TCP that notes what it is given; the test says what ended."""

    error: Exception | None = None
    aborting = False

    def __init__(self, room: int) -> None:
        self.room = room
        self.rows: list[np.void] = []
        self.in_flight = 0

    def start(self) -> None: ...

    def put(self, rows: Any) -> int:
        taken = rows[: self.room - len(self.rows)]
        self.rows.extend(taken)
        return len(taken)

    def talk(self, *anything: object, **more: object) -> bool:
        return True

    def abort_all(self) -> None: ...

    def close(self, seconds: float) -> None: ...


def ended(*tags: int) -> Ended:
    """Those with odd tags heard something."""
    rows = np.zeros(len(tags), ENDED)
    rows["tag"], rows["phase"], rows["peer"] = tags, READ, 0x7F000001
    rows["data_size"] = rows["size"] = [tag % 2 for tag in tags]
    return Ended(rows, b"x")


async def test_the_compiled_dialogue_gets_its_connections_turn_by_turn() -> None:
    plainly: list[tuple[list[int], list[object], bool]] = []
    others: list[Conversation] = []
    raw = Raw(
        capacity=4, close="fin", control=bytes(16), keep_data=True, fixed=Fixed(),
        on_ended=lambda batch, tags, asked: plainly.append((batch.rows["tag"].tolist(), tags, asked)),
    )  # fmt: skip
    raw._engine = engine = Engine(room=3)  # type: ignore[assignment]
    raw.start(asyncio.get_running_loop(), others.extend, lambda batch, error: None)
    assert [raw.talk(waiting(tag)) for tag in "abcde"] == [True] * 4 + [False]  # there is room for four
    assert not engine.rows
    await until(lambda: len(engine.rows) == 3)
    assert [int(row["tag"]) for row in engine.rows] == [0, 1, 2]
    assert raw.in_flight == 1  # the fourth waits until the engine takes it
    engine.room = 4
    await until(lambda: len(engine.rows) == 4)
    assert int(engine.rows[3]["tag"]) == 3
    raw._collect_compiled(ended(3, 0, 1))
    await until(lambda: bool(plainly))
    assert plainly == [([3, 1], ["d", "b"], True)]
    assert [(each.tag, each.body, each.via, each.control) for each in others] == [("a", b"", "raw", False)]
    assert raw.talk(waiting("f"))
    assert [each.tag for each in raw.abandon()] == ["c", "f"]
    raw._collect_compiled(ended(2))  # the engine was about to say so
    await asyncio.sleep(0)
    assert (len(engine.rows), len(plainly), len(others)) == (4, 1, 1)
    raw.close()


async def test_dialogues_that_are_objects_are_given_back_too() -> None:
    said: list[Conversation] = []
    raw = Raw(capacity=4, close="fin", control=None, keep_data=True)
    raw._engine = Engine(room=4)  # type: ignore[assignment]
    raw.start(asyncio.get_running_loop(), said.extend, lambda batch, error: None)
    tags = ["a", "b"]
    assert all(raw.talk(waiting(tag)) for tag in tags)
    one = Conversation("192.0.2.7", 80, Script().begin(""), tags[0], 0.0, 100)
    raw._collect([one])
    await until(lambda: said == [one])
    assert [each.tag for each in raw.abandon()] == ["b"]
    assert raw.abandon() == []
    raw.close()


async def test_what_is_recalled_takes_all_with_it_and_nothing_is_begun_until_that_is_done() -> None:
    said: list[Conversation] = []
    raw = Raw(capacity=4, close="fin", control=None, keep_data=True)
    raw._engine = engine = Engine(room=4)  # type: ignore[assignment]
    raw.start(asyncio.get_running_loop(), said.extend, lambda batch, error: None)
    tags = ["a", "b"]
    assert all(raw.talk(waiting(tag)) for tag in tags)
    assert raw.recall(lambda tag: tag == "c") == []
    assert raw.recall(lambda tag: tag == "b") == tags
    raw._collect([Conversation("192.0.2.7", 80, Script().begin(""), tags[0], 0.0, 100)])  # it was about to say so
    await asyncio.sleep(0)
    assert said == []
    engine.aborting = True
    assert not raw.talk(waiting("d"))
    engine.aborting = False
    assert raw.talk(waiting("d"))
    raw.close()


async def test_adoption_needs_the_lease_too() -> None:
    require(os.path.exists("/proc/thread-self/net/unix"), "Linux")
    dialer = Dialer(lambda conversations: None)
    adopt = Adopt(dialer, capacity=1)
    with pytest.raises(NoLease):
        adopt.open(half(), 8)
    adopt.close()
    await dialer.close()


class Adopter:
    """The helper's other end, whose answers the test writes."""

    def __init__(self) -> None:
        self.read, self.write = os.pipe()
        self.batches: list[int] = []
        self.answers: list[list[socket.socket | OSError]] = []

    def fileno(self) -> int:
        return self.read

    def submit(self, rows: list[Any], *, own_wscale: int) -> None:
        self.batches.append(len(rows))

    def answer(self, *answers: socket.socket | OSError) -> None:
        self.answers.append(list(answers))
        os.write(self.write, b"!")

    def collect(self) -> list[socket.socket | OSError] | None:
        os.read(self.read, 1)
        return self.answers.pop(0)

    def close(self) -> None:
        os.close(self.read)
        os.close(self.write)


async def until(holds: Any) -> None:
    async with asyncio.timeout(60):
        while not holds():
            await asyncio.sleep(0.005)


async def test_sockets_come_back_and_are_talked_on() -> None:
    """One batch is asked for at a time; a refusal goes to who dials; a socket that is not wanted is reset."""
    ended: list[Conversation] = []
    refused: list[tuple[object, int | None]] = []
    dialer = Dialer(ended.extend)
    way, adopter = Adopt(dialer, capacity=3), Adopter()
    way._adopter = adopter  # type: ignore[assignment]
    loop = asyncio.get_running_loop()
    way.start(loop, ended.extend, lambda batch, error: refused.extend((each.tag, error.errno) for each in batch))
    try:
        with talker(lambda connection: connection.sendall(b"hello")) as (host, port):
            assert way.talk(waiting("a", host, port))
            await until(lambda: adopter.batches == [1])
            assert way.talk(waiting("b"))
            way.reset(np.array([half()]))
            assert not way.talk(waiting("c"))  # three are under way
            first = socket.create_connection((host, port))
            first.setblocking(False)
            adopter.answer(first)
            await until(lambda: adopter.batches == [1, 2])
            last = socket.create_connection((host, port))
            adopter.answer(OSError(99, "it is there already"), last)
            await until(lambda: ended and refused)
            assert last.fileno() < 0
        assert refused == [("b", 99)]
        ((conversation),) = ended
        assert (conversation.tag, conversation.body, conversation.via) == ("a", b"hello", "adopt")
        assert conversation.started == 1_795_245_000_250_000  # when the SYN left
        assert conversation.connected == 0.25
        assert way.in_flight == 0
    finally:
        loop.remove_reader(adopter.read)
        way.close()
        await dialer.close()
