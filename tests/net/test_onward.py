"""Which hits are gone on with, and what becomes of the others. The way itself is a stand-in that notes what it gets:
the real ones are in test_onward_ways.py; the dialler and its sockets are real."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest

from stages.net import onward
from stages.net.conversation import Conversation
from stages.net.dialing import Dialer
from stages.net.halfopen import row_of
from stages.net.onward import ELSEWHERE, FURTHER, NO_SYNACK, OLD, SCALED, UNHELD, Onward, Waiting
from stages.proto.banner import Script
from tests.servers.talkers import talker

TALK = Script(first=30.0).begin("")


@dataclass(frozen=True)
class Hit:
    ip: str
    port: int
    ts: int = 0
    rtt: float | None = 0.01
    source: dict[str, Any] | None = None
    tcp: dict[str, Any] | None = None


def hit(ip: str, at: int, *, age: float = 0.0, **source: Any) -> Hit:
    own = {"ip": source.pop("own", "192.0.2.2"), "port": 40_000, "host": "here", "syns": 1, "wscale": 8, **source}
    tcp = {"seq": 1, "ack": 2, "window": 3, "mss": 1460, "wscale": 7, "sack": True, "ts_val": None, "ts_ecr": None}
    return Hit(ip, at, int((time.time() - age) * 1e6), 0.01, own, tcp)


class Way:
    name = "raw"

    def __init__(self, room: int = 100, failure: OSError | None = None) -> None:
        self.room = room
        self.failure = failure
        self.lost: OSError | None = None
        self.opened: list[int] = []
        self.taken: list[Waiting] = []
        self.ended: list[int] = []
        self.log: list[str] = []
        self.in_flight = 0

    def open(self, half: Any, wscale: int) -> None:
        self.opened.append(wscale)
        if self.failure is not None:
            raise self.failure

    def start(self, loop: Any, on_end: Any, on_refused: Callable[[list[Waiting], OSError], None]) -> None:
        self.on_end, self.on_refused = on_end, on_refused

    def covers(self, address: str, port: int) -> bool:
        return address == "192.0.2.2"

    def talk(self, waiting: Waiting) -> bool:
        if len(self.taken) >= self.room:
            return False
        self.taken.append(waiting)
        return True

    def reset(self, half: Any) -> None:
        self.ended += half["own_port"].tolist()

    def renew(self) -> None:
        if self.lost is not None:
            raise self.lost

    def abort_all(self) -> None:
        self.log.append("aborted")

    def abandon(self) -> list[Waiting]:
        self.abort_all()
        return self.taken

    def close(self) -> None:
        self.log.append("closed")


class Work:
    """One engine, and what came of what."""

    def __init__(self, way: Way | None, syns: int | None = None) -> None:
        self.way = way
        self.said: dict[object, Conversation] = {}
        self.spent: list[object] = []
        self.engine = Onward(
            Dialer(self._end), self._end, self.spent.append, way, host="here", max_age=10.0, syns=syns
        )  # fmt: skip

    def _end(self, conversations: list[Conversation]) -> None:
        self.said.update((each.tag, each) for each in conversations)

    def begin(self, what: Hit, tag: object, **more: Any) -> None:
        self.engine.begin(what, TALK, tag, connect_timeout=30.0, max_bytes=100, **more)

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not holds():
                await asyncio.sleep(0.005)


@asynccontextmanager
async def work(way: Way | None, **more: Any):  # type: ignore[no-untyped-def]
    made = Work(way, **more)
    try:
        yield made
    finally:
        await made.engine.close()


async def test_a_fresh_hit_of_this_host_is_gone_on_with() -> None:
    way = Way()
    async with work(way) as made:
        made.begin(hit("192.0.2.7", 80), "a")
        made.begin(hit("192.0.2.8", 80), "b")  # while it is opened: the order is kept
        await made.until(lambda: len(way.taken) == 2)
        made.begin(hit("192.0.2.9", 80), "c")
        assert [each.tag for each in way.taken] == ["a", "b", "c"]
        assert way.opened == [8]  # once
        assert int(row_of(way.taken[0].half)["peer_port"]) == 80
        assert not made.engine.dialled
    assert way.log == ["closed"]


@pytest.mark.parametrize(
    ("change", "more", "reason"),
    [
        ({"tcp": None}, {}, NO_SYNACK),
        ({"source": None}, {}, NO_SYNACK),
        ({"host": "elsewhere"}, {}, ELSEWHERE),
        ({"own": "192.0.2.3"}, {}, UNHELD),
        ({"wscale": 7}, {}, SCALED),
        ({"age": 11.0}, {}, OLD),
        ({}, {"dials": 1}, ""),
    ],
)
async def test_what_cannot_be_is_dialled(change: dict[str, Any], more: dict[str, Any], reason: str) -> None:
    way = Way()
    with talker(lambda connection: connection.sendall(b"hello")) as (host, port):
        async with work(way) as made:
            made.begin(hit(host, port), "first")  # opens the way
            await made.until(lambda: len(way.taken) == 1)
            fields = {name: change[name] for name in ("tcp", "source") if name in change}
            source = {name: value for name, value in change.items() if name not in fields}
            made.begin(replace(hit(host, port, **source), **fields), "x", **more)
            await made.until(lambda: "x" in made.said)
            assert made.said["x"].via == "connect"
            assert made.said["x"].body == b"hello"
            assert made.engine.dialled == ({reason: 1} if reason else {})
    # What is too old, or of another scale, is half open all the same: it is reset before it is dialled.
    assert way.ended == ([40_000] if reason in (OLD, SCALED) else [])
    assert len(way.taken) == 1


async def test_a_further_connection_is_no_news() -> None:
    assert FURTHER  # a fallback hello, a retry: said nowhere, counted nowhere


async def test_numbers_that_no_synack_has() -> None:
    async with work(Way()) as made:
        bad = hit("192.0.2.7", 80)
        assert bad.tcp is not None
        bad.tcp["seq"] = 1 << 32
        with pytest.raises(ValueError, match=r"tcp\.seq is 4294967296"):
            made.begin(bad, "x")


async def test_where_there_is_no_lease_everything_is_dialled(caplog: pytest.LogCaptureFixture) -> None:
    way = Way(failure=OSError(1, "no lease, or no privilege"))
    with talker(lambda connection: connection.sendall(b"hello")) as (host, port):
        async with work(way) as made:
            for tag in range(5):
                made.begin(hit(host, port), tag)
            await made.until(lambda: len(made.said) == 5)
            made.begin(hit(host, port), "later")
            await made.until(lambda: "later" in made.said)
    assert way.taken == []
    told = [record for record in caplog.records if "dialled anew" in record.message]
    assert len(told) == 1
    assert "no lease, or no privilege" in told[0].message


async def test_no_room_means_waiting_in_order() -> None:
    way = Way(room=1)
    async with work(way) as made:
        for tag in range(4):
            made.begin(hit("192.0.2.7", 80), tag)
        await made.until(lambda: len(way.taken) == 1)
        way.room = 3
        await made.until(lambda: len(way.taken) == 3)
        way.room = 4
        await made.until(lambda: len(way.taken) == 4)
        assert [each.tag for each in way.taken] == [0, 1, 2, 3]


async def test_one_that_was_taken_and_refused_is_dialled() -> None:
    way = Way()
    with talker(lambda connection: connection.sendall(b"hello")) as (host, port):
        async with work(way) as made:
            made.begin(hit(host, port), "x")
            await made.until(lambda: len(way.taken) == 1)
            way.on_refused(list(way.taken), OSError(99, "the kernel has it already"))
            await made.until(lambda: "x" in made.said)
            assert made.engine.dialled == {"the kernel has it already": 1}


async def test_a_lease_that_is_lost_ends_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onward, "RENEW", 0.01)
    way = Way()
    with talker(lambda connection: connection.sendall(b"hello")) as (host, port):
        async with work(way) as made:
            made.begin(hit(host, port), "first")
            await made.until(lambda: len(way.taken) == 1)
            way.lost = OSError(116, "the lease is lost")
            await made.until(lambda: "closed" in way.log)
            assert "aborted" in way.log
            await made.until(lambda: "first" in made.said)  # what was under way is not lost: it is dialled
            assert made.engine.dialled == {"the lease is lost": 1}
            made.begin(hit(host, port), "x")
            await made.until(lambda: "x" in made.said)


@pytest.mark.parametrize(
    ("syns", "more", "spent"),
    [
        (1, {}, True),  # the scan's own SYN was the one
        (2, {}, False),
        (2, {"dials": 1}, True),
        (3, {"dials": 1}, False),
    ],
)
async def test_the_syns_of_a_target_are_counted_together(syns: int, more: dict[str, Any], spent: bool) -> None:
    with talker(lambda connection: connection.sendall(b"hello")) as (host, port):
        async with work(None, syns=syns) as made:
            made.begin(hit(host, port), "x", **more)
            await made.until(lambda: bool(made.spent or made.said))
            assert made.spent == (["x"] if spent else [])


async def test_a_listed_target_has_had_no_syn() -> None:
    with talker(lambda connection: connection.sendall(b"hello")) as (host, port):
        async with work(None, syns=1) as made:
            made.begin(Hit(host, port), "x")
            await made.until(lambda: "x" in made.said)
