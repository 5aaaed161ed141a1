"""A slice's grabs over real sockets on the loopback; the slice itself is played by the test."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from stages.bannergrab.settings import BannergrabSettings
from stages.cli import slicegrabs
from stages.cli.slicegrabs import Grabbing, SliceGrabs, banner_settings, tls_settings
from stages.core.bus.base import Output, Topics
from stages.core.errors import HostError
from stages.core.lists import Lists
from stages.core.netset import NetSet
from stages.core.outcome import Outcome
from stages.core.policy import Policy
from stages.core.records import Banner, Hit, Record, Tls, parse
from stages.core.settings import PolitenessSettings
from stages.fleet import grabs
from stages.fleet.work import BannerGrab, TlsGrab, Work
from tests.fleet.house import Logbook
from tests.fleet.material import NOW, work
from tests.servers.certificates import identity, server_context
from tests.servers.talkers import Handler, hold, say, talker

TOPICS = Topics()


class Book(Logbook):
    """As the spool is published to; `records` are what came of the grabs."""

    async def settle(self, outputs: list[Output], source: Any, positions: Any) -> None:
        await self.publish(outputs)
        if source is not None and positions:
            await source.commit(positions)

    def records(self, topic: str) -> list[Record]:
        return [parse(output.value) for output in self.outputs if output.topic == topic]


class Slice:
    """Publishes hits, as a scan does."""

    def __init__(self, asked: Work, policy: Policy | None = None, how: Grabbing | None = None) -> None:
        self.book, self.failures, self.work = Book(), 0, asked
        publisher: Any = self.book
        self.grabs = SliceGrabs(
            asked, how or Grabbing(20, PolitenessSettings()), policy or Policy(special=False), publisher, TOPICS,
            first=0, on_failure=self._failed,
        )  # fmt: skip

    def _failed(self) -> None:
        self.failures += 1

    async def found(self, ip: str, port: int) -> None:
        hit = Hit(scan="town", ts=int(NOW * 1e6), ip=ip, port=port, vantage="alice")
        await self.grabs.publish([Output(TOPICS.hits, b"", hit.dump())])

    def banners(self) -> list[Banner]:
        return [record for record in self.book.records(TOPICS.banners) if isinstance(record, Banner)]


@asynccontextmanager
async def grabbing(asked: Work, policy: Policy | None = None, how: Grabbing | None = None) -> AsyncIterator[Slice]:
    slice = Slice(asked, policy, how)
    await slice.grabs.start()
    try:
        yield slice
    finally:
        await slice.grabs.close()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


def banners(**more: Any) -> Work:
    return work(banner=BannerGrab(**{"say": "wait", "ports": "*", **more}))


def gated(gate: threading.Event, data: bytes) -> Handler:
    """Says nothing until the gate opens."""

    def handler(connection: socket.socket) -> None:
        gate.wait(20)
        connection.sendall(data)
        connection.close()

    return handler


async def test_a_position_is_done_when_what_was_found_before_it_is_grabbed() -> None:
    gate = threading.Event()
    with talker(say(b"SSH-2.0-quick\r\n")) as quick, talker(gated(gate, b"220 slow\r\n")) as slow:
        async with grabbing(banners(read_timeout=20.0)) as slice:
            assert slice.grabs.reached(10) == 10, "nothing was found: nothing is to be grabbed"
            await slice.found(*quick)
            slice.grabs.reached(20)
            await slice.found(*slow)
            slice.grabs.reached(30)
            await until(lambda: slice.grabs.reached(30) == 20)
            await until(lambda: slice.banners())
            await asyncio.sleep(0.3)
            assert slice.grabs.reached(30) == 20
            gate.set()
            await slice.grabs.drained()
            assert slice.grabs.reached(30) == 30
            assert {b.data for b in slice.banners()} == {b"SSH-2.0-quick\r\n", b"220 slow\r\n"}
            assert len(slice.book.records(TOPICS.hits)) == 2


async def test_what_is_grabbed_is_what_a_coordinator_takes() -> None:
    who = identity()
    asked = work(banner=BannerGrab(wait=0.0, ports="1-1023"), tls=TlsGrab(ports="1024-65535"))

    def serve(connection: socket.socket) -> None:
        server_context(who).wrap_socket(connection, server_side=True).close()

    with talker(serve) as (ip, port):
        async with grabbing(asked) as slice:
            await slice.found(ip, port)
            slice.grabs.reached(5)
            await slice.grabs.drained()
            [tls] = slice.book.records(TOPICS.tls)
            assert isinstance(tls, Tls)
            assert tls.certificates == who.chain
            assert grabs.wrong(tls, asked) == ""
            assert slice.banners() == [], "each port has one stage"


@pytest.mark.parametrize("said", ["http-req", "wait", "http", "ssh", "esmtp", "identify"])
async def test_whatever_is_said_is_said_by_its_name(said: str) -> None:
    asked = banners(say=said, wait=0.1, read_timeout=1.0, total_timeout=5.0)
    with talker(say(b"SSH-2.0-x\r\n")) as there:
        async with grabbing(asked) as slice:
            await slice.found(*there)
            slice.grabs.reached(5)
            await slice.grabs.drained()
            assert slice.grabs.reached(5) == 5
            [banner] = slice.banners()
            assert grabs.wrong(banner, asked) == ""


async def test_who_is_on_a_list_is_not_dialled(monkeypatch: pytest.MonkeyPatch) -> None:
    heard = threading.Event()
    policy = Policy(special=False)
    with talker(lambda _: heard.set()) as (ip, port):
        policy.update(Lists(block=NetSet.parse([ip], "test")))
        async with grabbing(banners(), policy) as slice:
            await slice.found(ip, port)
            slice.grabs.reached(5)
            await slice.grabs.drained()
            assert [b.outcome for b in slice.banners()] == [Outcome.BLOCKED]
            assert slice.grabs.reached(5) == 5
    assert not heard.is_set()


async def test_told_to_stop_it_ends_within_seconds_and_claims_nothing_that_it_has_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(slicegrabs, "STOP_SECONDS", 0.3)
    with talker(hold(b"220 ")) as held:
        async with grabbing(banners(read_timeout=50.0, idle_timeout=50.0, total_timeout=60.0)) as slice:
            await slice.found(*held)
            slice.grabs.reached(5)
            await asyncio.sleep(0.1)
            slice.grabs.stop()
            async with asyncio.timeout(10):
                await slice.grabs.drained()
                await slice.grabs.close()
            await slice.found(*held)
            assert slice.grabs.reached(9) == 0
            assert slice.banners() == []
            assert len(slice.book.records(TOPICS.hits)) == 2, "hits are true, and handed over"


async def test_what_is_found_after_it_was_told_to_stop_is_not_grabbed_and_not_claimed() -> None:
    with talker(say(b"220 x\r\n")) as there:
        async with grabbing(banners()) as slice:
            await slice.found(*there)
            slice.grabs.reached(5)
            await slice.grabs.drained()
            assert slice.grabs.reached(5) == 5
            slice.grabs.stop()
            await slice.found(*there)
            assert slice.grabs.reached(9) == 5
            assert len(slice.banners()) == 1


async def test_of_the_slices_under_way_one_grabs_at_a_time() -> None:
    gate, came, how = threading.Event(), threading.Event(), Grabbing(20, PolitenessSettings())

    def late(connection: socket.socket) -> None:
        came.set()
        say(b"220 late\r\n")(connection)

    with talker(gated(gate, b"220 slow\r\n")) as slow, talker(late) as next_:
        async with grabbing(banners(read_timeout=20.0), how=how) as first:
            await first.found(*slow)
            first.grabs.reached(5)
            async with grabbing(banners(), how=how) as second:
                await second.found(*next_)
                second.grabs.look_again()
                await asyncio.sleep(0.3)
                assert second.grabs.reached(5) == 0
                assert not came.is_set()
                gate.set()
                await first.grabs.drained()
                await first.grabs.close()
                await second.grabs.drained()
                assert second.grabs.reached(5) == 5
                assert [b.data for b in second.banners()] == [b"220 late\r\n"]
    assert not how.turn.locked()


async def test_who_is_stopped_before_its_turn_gives_it_up() -> None:
    how = Grabbing(20, PolitenessSettings())
    async with grabbing(banners(), how=how) as first:
        async with grabbing(banners(), how=how) as second:
            second.grabs.halt()
        await first.grabs.drained()
    assert not how.turn.locked()


LONG = {"read_timeout": 50.0, "idle_timeout": 50.0, "total_timeout": 60.0}


async def test_who_comes_on_a_list_in_the_middle_of_a_conversation_is_left_alone_at_once() -> None:
    policy = Policy(special=False)
    with talker(hold(b"220 ")) as (ip, port):
        async with grabbing(banners(**LONG), policy) as slice:
            await slice.found(ip, port)
            await asyncio.sleep(0.2)
            policy.update(Lists(block=NetSet.parse([ip], "test")))
            slice.grabs.look_again()
            slice.grabs.reached(5)
            async with asyncio.timeout(10):
                await slice.grabs.drained()
            assert [b.outcome for b in slice.banners()] == [Outcome.BLOCKED]


async def test_halted_it_ends_what_is_under_way_and_claims_nothing() -> None:
    with talker(hold(b"220 ")) as held:
        async with grabbing(banners(**LONG)) as slice:
            await slice.found(*held)
            slice.grabs.reached(5)
            await asyncio.sleep(0.2)
            slice.grabs.halt()
            async with asyncio.timeout(slicegrabs.STOP_SECONDS / 2):
                await slice.grabs.close()
            assert slice.banners() == []
            assert slice.grabs.reached(5) == 0


async def test_a_scan_that_waits_for_its_grabs_is_let_go_when_it_is_to_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slicegrabs, "MAX_WAITING", 1)
    monkeypatch.setattr(slicegrabs, "STOP_SECONDS", 0.3)
    with talker(hold(b"220 ")) as held:
        async with grabbing(banners(read_timeout=50.0, idle_timeout=50.0, total_timeout=60.0)) as slice:
            await slice.found(*held)
            waiting = asyncio.create_task(slice.found(*held))
            await asyncio.sleep(0.2)
            assert not waiting.done()
            slice.grabs.stop()
            async with asyncio.timeout(10):
                await waiting


async def test_a_grab_that_ends_by_itself_is_told_and_raised() -> None:
    with talker(say(b"220 x\r\n")) as there:
        slice = Slice(banners())

        async def full(*_: object) -> None:
            raise HostError("the disk is full")

        slice.book.settle = full  # type: ignore[method-assign]
        await slice.grabs.start()
        await slice.found(*there)
        slice.grabs.reached(5)
        await until(lambda: slice.failures)
        await slice.grabs.drained()
        assert slice.grabs.reached(5) == 0
        with pytest.raises(HostError, match="disk is full"):
            await slice.grabs.close()


def test_no_file_of_this_machine_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "http-req").write_bytes(b"something else, of somebody else")
    settings = banner_settings(BannerGrab(), 5)
    assert settings.data is not None
    assert Path(settings.data).is_absolute()
    assert b"GET" in Path(settings.data).read_bytes()


def test_what_was_asked_for_is_what_the_stages_are_set_to() -> None:
    asked = BannerGrab(say="ssh", ports="22", conn_timeout=1.0, read_timeout=2.0, idle_timeout=3.0, max_bytes=99)
    settings = banner_settings(asked, 7)
    assert (settings.talk, settings.data, settings.wait, settings.ports) == ("ssh", None, 0.0, "22")
    assert (settings.conn_timeout, settings.read_timeout, settings.idle_timeout) == (1.0, 2.0, 3.0)
    assert (settings.max_bytes, settings.concurrent) == (99, 7)
    tls = tls_settings(TlsGrab(mode="full", starttls="auto", max_connections=1, max_bytes=5), 3)
    assert (tls.mode, tls.starttls, tls.max_connections, tls.max_bytes, tls.concurrent) == ("full", "auto", 1, 5, 3)
    plain = BannergrabSettings(data="http-req", wait=2.0)
    same = banner_settings(BannerGrab(), plain.concurrent)
    assert {n for n, v in same if getattr(plain, n) != v} == {"data"}, "unasked for, it grabs as it always does"
