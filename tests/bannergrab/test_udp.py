"""Datagrams against real sockets, on both loops; ICMP from the kernel's own loopback."""

from __future__ import annotations

import asyncio
import select
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from stages.bannergrab.udp import MAX_DATAGRAMS, UdpDialer
from stages.core.outcome import Outcome
from stages.core.records import Banner, parse
from stages.net import confine
from stages.net.conversation import Conversation, Dialogue
from tests.servers.dialling import DEADLINE, LOOPS, script
from tests.servers.talkers import fresh_address

#: ip(7); the socket module does not export it.
IP_PKTINFO = 8

Reply = Callable[[bytes], Sequence[bytes]]


@contextmanager
def server(reply: Reply, host: str | None = None) -> Iterator[tuple[str, int]]:
    """Answers each datagram with the datagrams of `reply`."""
    address = host if host is not None else fresh_address()
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    if sock.family == socket.AF_INET:
        sock.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)  # answers come from the address that was asked
    sock.bind((address, 0))
    sock.settimeout(0.1)
    over = threading.Event()

    def serve() -> None:
        while not over.is_set():
            with suppress(OSError):
                data, control, _, peer = sock.recvmsg(65_535, 256)
                for datagram in reply(data):
                    sock.sendmsg([datagram], control, 0, peer)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield address, sock.getsockname()[1]
    finally:
        over.set()
        thread.join()
        sock.close()


@contextmanager
def closed(host: str | None = None) -> Iterator[tuple[str, int]]:
    """A port where nothing listens: a TCP socket holds the number, which UDP does not see."""
    address = host if host is not None else fresh_address()
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.bind((address, 0))
        port = probe.getsockname()[1]
    yield address, port


@pytest.fixture(params=sorted(LOOPS))
def loop_name(request: pytest.FixtureRequest) -> str:
    return request.param


def converse(
    loop_name: str, targets: Sequence[tuple[str, int]], begin: Callable[[str], Dialogue], max_bytes: int = 65_536
) -> list[Conversation]:
    async def run() -> list[Conversation]:
        ended: list[Conversation] = []
        done = asyncio.Event()

        def on_end(batch: list[Conversation]) -> None:
            ended.extend(batch)
            if len(ended) == len(targets):
                done.set()

        dialer = UdpDialer(on_end)
        try:
            for number, (host, port) in enumerate(targets):
                dialer.dial(host, port, begin(host), number, connect_timeout=1.0, max_bytes=max_bytes)
            async with asyncio.timeout(DEADLINE):
                await done.wait()
            assert dialer.in_flight == 0
        finally:
            await dialer.close()
        return sorted(ended, key=lambda conversation: conversation.tag)

    with asyncio.Runner(loop_factory=LOOPS[loop_name]) as runner:
        return runner.run(run())


ASK = script(b"ask %s", first=0.4, idle=0.2)


def test_an_answer_of_several_datagrams(loop_name: str) -> None:
    with server(lambda data: [b"one", b"", b"three " + data]) as target:
        (got,) = converse(loop_name, [target], ASK.begin)
    assert got.data == [b"one", b"", b"three ask " + target[0].encode()]
    assert got.sent == len(b"ask ") + len(target[0])
    assert got.first_byte is not None
    assert got.ended is not None
    assert (got.phase, got.timed_out, got.failed, got.truncated) == ("read", True, False, False)


def test_no_answer(loop_name: str) -> None:
    with server(lambda data: []) as target:
        (got,) = converse(loop_name, [target], ASK.begin)
    assert (got.data, got.timed_out, got.errno, got.icmp) == ([], True, None, None)


@pytest.mark.parametrize("host", [None, "::1"])
def test_a_closed_port_is_an_icmp_error_and_told_at_once(loop_name: str, host: str | None) -> None:
    patient = script(b"ask", first=10.0)
    with closed(host) as target:
        (got,) = converse(loop_name, [target], patient.begin)
    assert got.failed
    assert got.icmp == ((1, 4, "::1") if host else (3, 3, target[0]))
    assert got.errno == 111
    assert got.left_host
    assert not got.timed_out
    assert got.ended is not None
    assert got.ended < 5.0


def test_without_epoll_an_error_is_found_by_looking(loop_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(select, "epoll", raising=False)
    with closed() as target, server(lambda data: [b"here"]) as other:
        refused, fine = converse("asyncio", [target, other], script(b"ask", first=5.0, idle=0.2).begin)
    assert refused.failed
    assert refused.errno == 111
    assert fine.body == b"here"


def test_the_limit_of_bytes(loop_name: str) -> None:
    with server(lambda data: [b"x" * 60, b"y" * 60]) as target:
        (got,) = converse(loop_name, [target], ASK.begin, max_bytes=100)
    assert got.data == [b"x" * 60, b"y" * 40]
    assert got.truncated


def test_the_limit_of_datagrams(loop_name: str) -> None:
    with server(lambda data: [b"."] * (MAX_DATAGRAMS + 50)) as target:
        (got,) = converse(loop_name, [target], ASK.begin)
    assert len(got.data) <= MAX_DATAGRAMS
    assert got.size > 0


def test_many_at_once_each_gets_its_own(loop_name: str) -> None:
    with server(lambda data: [data], "0.0.0.0") as (_, port):
        targets = [(f"127.9.0.{number}", port) for number in range(1, 101)]
        got = converse(loop_name, targets, script(b"%s", first=5.0, idle=0.1).begin)
    assert [conversation.body.decode() for conversation in got] == [host for host, _ in targets]


def test_a_dialogue_that_raises_ends_its_own_conversation_only(loop_name: str) -> None:
    class Faulty:
        idle = total = 5.0

        def opening(self) -> bytes:
            raise RuntimeError("opening")

    with server(lambda data: [b"fine"]) as target:
        faulty, fine = converse(
            loop_name, [("127.0.0.1", 9), target], lambda host: Faulty() if host == "127.0.0.1" else ASK.begin(host)
        )
    assert str(faulty.fault) == "opening"
    assert fine.body == b"fine"


def test_what_is_too_long_for_a_datagram_never_left(loop_name: str) -> None:
    with server(lambda data: []) as target:
        (got,) = converse(loop_name, [target], script(b"x" * 70_000).begin)
    assert got.failed
    assert not got.left_host


@pytest.mark.parametrize(("host", "port"), [("localhost", 53), ("127.0.0.1", 65_536)])
async def test_what_is_no_target_is_refused_at_once(host: str, port: int) -> None:
    dialer = UdpDialer(lambda batch: None)
    with pytest.raises(ValueError, match="not"):
        dialer.dial(host, port, ASK.begin(host), None, connect_timeout=1.0, max_bytes=1)
    await dialer.close()


async def test_confined_nothing_is_sent_beyond_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(confine.VARIABLE, "1")
    confine.forget()
    dialer = UdpDialer(lambda batch: None)
    with pytest.raises(confine.ConfinedError):
        dialer.dial("192.0.2.1", 53, ASK.begin(""), None, connect_timeout=1.0, max_bytes=1)
    await dialer.close()


async def test_abort_hands_nothing_over() -> None:
    handed: list[Conversation] = []
    dialer = UdpDialer(handed.extend)
    with server(lambda data: []) as target:
        for _ in range(20):
            dialer.dial(*target, script(b"ask", first=30.0).begin(""), None, connect_timeout=1.0, max_bytes=1)
        assert dialer.open == 20
        await asyncio.sleep(0.1)
        dialer.abort_all()
        assert dialer.open == 0
        await asyncio.sleep(0.1)
    await dialer.close()
    assert handed == []


async def test_a_whole_bannergrab_over_udp(grab: Any, tmp_path: Path) -> None:
    payload = tmp_path / "probe"
    payload.write_bytes(b"ask %s")
    with server(lambda data: [b"1", data]) as talks, server(lambda data: []) as quiet, closed() as shut:
        lines = [f"{host}:{port}".encode() for host, port in (talks, quiet, shut)]
        run = await grab(lines, udp=True, data=str(payload))
    records = [parse(line) for line in run.lines]
    got = {(record.ip, record.port): record for record in records if isinstance(record, Banner)}
    assert got[talks].outcome is Outcome.OK
    assert got[talks].datagrams == [1, 4 + len(talks[0])]
    assert got[talks].transport == "udp"
    assert got[quiet].outcome is Outcome.TIMEOUT
    assert got[shut].outcome is Outcome.UNREACHABLE
    assert got[shut].icmp == {"type": 3, "code": 3, "responder": shut[0]}


async def test_recalled_are_those_asked_for_and_the_others_go_on() -> None:
    handed: list[Conversation] = []
    dialer = UdpDialer(handed.extend)
    with server(lambda data: []) as quiet:
        for tag in range(4):
            dialer.dial(*quiet, script(first=0.5).begin(""), tag, connect_timeout=1.0, max_bytes=10)
        assert sorted(dialer.recall(lambda tag: tag % 2 == 0)) == [0, 2]
        assert dialer.in_flight == 2
        async with asyncio.timeout(DEADLINE):
            while dialer.in_flight:
                await asyncio.sleep(0.01)
    await dialer.close()
    assert sorted(conversation.tag for conversation in handed) == [1, 3]
