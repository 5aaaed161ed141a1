"""The engine against real servers on loopback, on both loops and with both pollers."""

from __future__ import annotations

import asyncio
import errno
import itertools
import os
import select
import socket
import threading
from collections.abc import Iterator

import pytest

from stages.net import confine
from stages.net.conversation import Conversation
from stages.net.dialing import LAUNCH_SLICE, READ_BYTES, Dialer
from stages.net.poller import LoopPoller
from stages.proto.banner import Script, Talk
from stages.proto.until import parse_until
from tests.servers import talkers
from tests.servers.dialling import Engine, script
from tests.servers.talkers import full, nobody, talker

ENGINES = [Engine(poller, loop) for poller, loop in itertools.product(("epoll", "loop"), ("asyncio", "uvloop"))]


@pytest.fixture(params=ENGINES, ids=lambda engine: f"{engine.poller}-{engine.loop}")
def engine(request: pytest.FixtureRequest) -> Engine:
    if request.param.poller == "epoll" and not hasattr(select, "epoll"):
        pytest.skip("no epoll here")
    return request.param


def one(conversations: list[Conversation]) -> Conversation:
    (conversation,) = conversations
    assert conversation.fault is None, conversation.fault
    return conversation


def ordered(conversation: Conversation) -> bool:
    """Whether the times are there and in order."""
    times = (0.0, conversation.connected, conversation.first_byte, conversation.ended)
    return None not in times and list(times) == sorted(times)


def test_the_server_speaks_first_and_closes(engine: Engine) -> None:
    with talker(talkers.say(b"SSH-2.0-test\r\n")) as target:
        got = one(engine.converse([target], script().begin))
    assert got.body == b"SSH-2.0-test\r\n"
    assert (got.closed_by, got.phase, got.errno, got.failed) == ("peer", "read", None, False)
    assert (got.sent, got.size, got.truncated, got.timed_out) == (0, 14, False, False)
    assert ordered(got)
    assert got.started > 1_700_000_000_000_000


def test_we_speak_first(engine: Engine) -> None:
    with talker(talkers.answer(b"200 ")) as target:
        got = one(engine.converse([target], script(b"GET %s\r\n\r\n").begin))
    assert got.body == b"200 GET " + target[0].encode() + b"\r\n\r\n"
    assert got.sent == len(got.body) - 4
    assert ordered(got)


def test_a_server_that_says_nothing(engine: Engine) -> None:
    with talker(talkers.hold()) as target:
        got = one(engine.converse([target], script(first=0.2).begin))
    assert got.timed_out
    assert (got.phase, got.size, got.closed_by, got.failed) == ("read", 0, "us", False)
    assert got.connected is not None
    assert got.first_byte is None
    assert got.ended is not None
    assert got.ended >= 0.2


def test_a_server_that_closes_without_a_byte(engine: Engine) -> None:
    with talker(talkers.say()) as target:
        got = one(engine.converse([target], script().begin))
    assert (got.closed_by, got.size, got.timed_out, got.failed, got.phase) == ("peer", 0, False, False, "read")


def test_silence_after_a_banner_ends_it(engine: Engine) -> None:
    with talker(talkers.hold(b"220 ready\r\n")) as target:
        got = one(engine.converse([target], script(idle=0.2).begin))
    assert got.body == b"220 ready\r\n"
    assert got.timed_out
    assert got.closed_by == "us"


def test_wait_then_send_to_a_server_that_speaks(engine: Engine) -> None:
    with talker(talkers.hold(b"220 mail\r\n")) as target:
        got = one(engine.converse([target], script(b"GET %s\r\n\r\n", wait=2.0, idle=0.1).begin))
    assert (got.body, got.sent) == (b"220 mail\r\n", 0)


def test_wait_then_send_to_a_server_that_waits(engine: Engine) -> None:
    with talker(talkers.answer(b"200 ")) as target:
        got = one(engine.converse([target], script(b"GET %s\r\n\r\n", wait=0.1, first=3.0).begin))
    assert got.body.startswith(b"200 GET 127.")
    assert got.first_byte is not None
    assert got.first_byte >= 0.1


def test_until_ends_it_at_once(engine: Engine) -> None:
    until = Script(first=3.0, idle=5.0, until=parse_until(r"login: $"))
    with talker(talkers.hold(b"Welcome\r\n", b"login: ")) as target:
        got = one(engine.converse([target], until.begin))
    assert got.body == b"Welcome\r\nlogin: "
    assert not got.timed_out
    assert got.closed_by == "us"


def test_a_byte_at_a_time(engine: Engine) -> None:
    stop = threading.Event()
    with talker(talkers.drip(b"drop by drop", stop, 0.01)) as target:
        got = one(engine.converse([target], script(idle=1.0).begin))
    assert got.body == b"drop by drop"
    assert got.timed_out


def test_a_drip_without_end_meets_the_total_timeout(engine: Engine) -> None:
    stop = threading.Event()
    with talker(talkers.drip(b"x" * 10_000, stop, 0.02)) as target:
        got = one(engine.converse([target], script(idle=1.0, total=0.5).begin))
        stop.set()
    assert got.timed_out
    assert got.size > 1
    assert got.ended is not None
    assert 0.5 <= got.ended < 3.0


@pytest.mark.parametrize("limit", [1, 1000, READ_BYTES, READ_BYTES + 1, 300_000])
def test_a_flood_is_cut_at_the_limit(engine: Engine, limit: int) -> None:
    with talker(talkers.flood) as target:
        got = one(engine.converse([target], script().begin, max_bytes=limit))
    assert got.size == limit
    assert got.body == (b"flood! " * (limit // 7 + 1))[:limit]
    assert got.truncated
    assert got.closed_by == "us"


def test_exactly_the_limit_is_not_truncated(engine: Engine) -> None:
    with talker(talkers.say(b"x" * 1000)) as target:
        got = one(engine.converse([target], script().begin, max_bytes=1000))
    assert (got.size, got.truncated, got.closed_by) == (1000, False, "peer")


def test_many_segments_are_read_to_the_end(engine: Engine) -> None:
    pieces = [bytes((number,)) * 5_000 for number in range(100)]
    with talker(talkers.say(*pieces)) as target:
        got = one(engine.converse([target], script(first=3.0, idle=3.0).begin, max_bytes=1_000_000))
    assert got.body == b"".join(pieces)
    assert got.closed_by == "peer"


def test_a_half_closed_peer_is_at_its_end(engine: Engine) -> None:
    with talker(talkers.half_close(b"that was all\n")) as target:
        got = one(engine.converse([target], script(first=3.0, idle=3.0).begin))
    assert (got.body, got.closed_by, got.timed_out) == (b"that was all\n", "peer", False)


def test_reset_after_accept(engine: Engine) -> None:
    with talker(talkers.reset) as target:
        got = one(engine.converse([target], script().begin))
    assert got.failed
    assert got.errno == errno.ECONNRESET
    assert got.connected is not None
    assert got.phase in ("read", "write")
    assert (got.size, got.icmp) == (0, None)


def test_reset_after_accept_while_we_have_something_to_say(engine: Engine) -> None:
    with talker(talkers.reset) as target:
        got = one(engine.converse([target], script(b"hello").begin))
    assert got.failed
    assert got.errno in (errno.ECONNRESET, errno.EPIPE)
    assert got.connected is not None


@pytest.mark.parametrize("size", [10, READ_BYTES, 3 * READ_BYTES])
def test_what_came_before_a_reset_is_kept(engine: Engine, size: int) -> None:
    data = bytes(index & 255 for index in range(size))
    with talker(talkers.say_then_reset(data)) as target:
        got = one(engine.converse([target], script(first=3.0, idle=3.0).begin, max_bytes=10**6))
    assert got.failed
    assert got.errno == errno.ECONNRESET
    # A RST may overtake what the peer's kernel had not sent yet: what came is a prefix, and the small one is whole.
    assert data.startswith(got.body)
    if size == 10:
        assert got.body == data


def test_refused(engine: Engine) -> None:
    with nobody() as target:
        got = one(engine.converse([target], script().begin))
    assert got.failed
    assert (got.errno, got.phase, got.icmp, got.left_host) == (errno.ECONNREFUSED, "connect", None, True)
    assert got.connected is None


def test_a_full_backlog_times_out(engine: Engine) -> None:
    with full() as target:
        got = one(engine.converse([target], script().begin, connect_timeout=0.3))
    assert (got.phase, got.timed_out, got.failed, got.connected) == ("connect", True, False, None)
    assert got.ended is not None
    assert got.ended >= 0.3


def test_ipv6(engine: Engine) -> None:
    with talker(talkers.answer(b"six "), "::1") as target, nobody("::1") as closed:
        got, refused = engine.converse([target, closed], script(b"%s\r\n\r\n").begin)
    assert got.body == b"six ::1\r\n\r\n"
    assert refused.errno == errno.ECONNREFUSED


def test_a_zone_that_is_no_link_fails_here(engine: Engine) -> None:
    got = one(engine.converse([("::1%nosuchlink0", 9)], script().begin))
    assert got.failed
    assert not got.left_host


class Stuffed(Talk):
    """Sends more than any socket buffer holds."""

    SIZE = 20_000_000

    def __init__(self) -> None:
        super().__init__(script(first=0.5), b"y" * self.SIZE)


def test_a_large_payload_goes_out_as_the_peer_reads_it(engine: Engine) -> None:
    read = bytearray()

    def slow_reader(connection: socket.socket) -> None:
        while len(read) < Stuffed.SIZE:
            read.extend(connection.recv(1_000_000))
        connection.sendall(b"thanks")
        connection.close()

    class Patient(Stuffed):
        def wait(self) -> float:
            return 10.0

    with talker(slow_reader) as target:
        got = one(engine.converse([target], lambda _: Patient()))
    assert (got.sent, len(read), got.body) == (Stuffed.SIZE, Stuffed.SIZE, b"thanks")


def test_a_peer_that_does_not_read_times_out_in_the_write_phase(engine: Engine) -> None:
    with talker(talkers.hold()) as target:
        got = one(engine.converse([target], lambda _: Stuffed()))
    assert (got.phase, got.timed_out) == ("write", True)
    assert 0 < got.sent < Stuffed.SIZE


class Faulty(Talk):
    """Raises in one of its methods."""

    def __init__(self, where: str) -> None:
        super().__init__(script(first=0.1), b"")
        self.where = where

    def opening(self) -> bytes:
        if self.where == "opening":
            raise RuntimeError(self.where)
        return b""

    def receive(self, data: bytes) -> bytes | None:
        if self.where == "receive":
            raise RuntimeError(self.where)
        return None if self.where == "farewell" else b""

    def silence(self) -> bytes | None:
        if self.where == "silence":
            raise RuntimeError(self.where)
        return None

    def farewell(self) -> bytes:
        raise RuntimeError(self.where)

    def eof(self) -> bytes | None:
        if self.where == "eof":
            raise RuntimeError(self.where)
        return None


@pytest.mark.parametrize(
    ("where", "handler"),
    [
        ("opening", talkers.hold()),
        ("receive", talkers.hold(b"x")),
        ("silence", talkers.hold()),
        ("farewell", talkers.hold(b"x")),
        ("eof", talkers.say()),
    ],
)
def test_a_dialogue_that_raises_ends_its_own_conversation_only(engine: Engine, where: str, handler: object) -> None:
    with talker(handler) as target, talker(talkers.say(b"fine")) as other:  # type: ignore[arg-type]
        faulty, fine = engine.converse([target, other], lambda host: Faulty(where if host == target[0] else ""))
    assert str(faulty.fault) == where
    assert fine.fault is None
    assert fine.body == b"fine"


class Answering(Talk):
    """Answers each piece it reads, says goodbye at the end."""

    def __init__(self) -> None:
        super().__init__(script(first=3.0, idle=3.0), b"first")

    def receive(self, data: bytes) -> bytes | None:
        return None if data.endswith(b"enough") else b"<" + data + b">"

    def farewell(self) -> bytes:
        return b"so long"

    def eof(self) -> bytes | None:
        return b"bye"


def test_a_dialogue_may_answer_and_end(engine: Engine) -> None:
    heard: list[bytes] = []

    def handler(connection: socket.socket) -> None:
        heard.append(connection.recv(100))
        connection.sendall(b"one")
        heard.append(connection.recv(100))
        connection.sendall(b"enough")
        heard.append(connection.recv(100))

    with talker(handler) as target:
        got = one(engine.converse([target], lambda _: Answering()))
    assert heard == [b"first", b"<one>", b"so long"]
    assert (got.body, got.closed_by) == (b"oneenough", "us")
    assert got.sent == len(b"".join(heard))


def test_a_dialogue_may_say_goodbye(engine: Engine) -> None:
    heard: list[bytes] = []
    over = threading.Event()

    def handler(connection: socket.socket) -> None:
        heard.append(connection.recv(100))
        connection.shutdown(socket.SHUT_WR)
        heard.append(connection.recv(100))
        over.set()

    with talker(handler) as target:
        got = one(engine.converse([target], lambda _: Answering()))
        assert over.wait(5)
    assert heard == [b"first", b"bye"]
    assert got.sent == 8


class Overfull(Stuffed):
    """Has enough while its first words have not all left."""

    def receive(self, data: bytes) -> bytes | None:
        return None

    def farewell(self) -> bytes:
        return b"so long"


def test_no_last_words_behind_words_that_have_not_left(engine: Engine) -> None:
    with talker(talkers.hold(b"enough")) as target:
        got = one(engine.converse([target], lambda _: Overfull()))
    assert got.closed_by == "us"
    assert 0 < got.sent < Stuffed.SIZE
    assert not got.body.endswith(b"so long")


class Leaving(Answering):
    """Has enough at once."""

    def receive(self, data: bytes) -> bytes | None:
        return None


def test_last_words_to_a_peer_that_has_reset_are_not_said(engine: Engine) -> None:
    with talker(talkers.say_then_reset(b"enough")) as target:
        got = one(engine.converse([target], lambda _: Leaving()))
    assert got.fault is None
    assert got.body in (b"", b"enough")


def test_close_by_reset_where_we_close(engine: Engine) -> None:
    told: list[int | None] = []
    over = threading.Event()

    def handler(connection: socket.socket) -> None:
        connection.sendall(b"220 hello\r\n")
        try:
            connection.recv(10)
            told.append(None)
        except ConnectionResetError as error:
            told.append(error.errno)
        over.set()

    with talker(handler) as target:
        resetting = Engine(engine.poller, engine.loop, reset=True)
        one(resetting.converse([target], script(idle=0.1).begin))
        assert over.wait(5)
    assert told == [errno.ECONNRESET]


def test_data_need_not_be_kept(engine: Engine) -> None:
    with talker(talkers.say(b"x" * 100)) as target:
        got = one(engine.converse([target], script().begin, keep_data=False))
    assert (got.size, got.data) == (100, [])


def test_many_at_once_each_gets_its_own(engine: Engine) -> None:
    def handler(connection: socket.socket) -> None:
        connection.sendall(connection.getsockname()[0].encode())
        connection.close()

    # One server on all loopback addresses, many targets: each answer names the address that was dialled.
    # Its queue holds all of them: a SYN that is dropped comes again only after a second.
    with talker(handler, "0.0.0.0", backlog=1024) as (_, port), nobody() as closed:
        targets = [(f"127.3.{number >> 8}.{number & 255}", port) for number in range(5 * LAUNCH_SLICE)]
        got = engine.converse([*targets, closed], script(first=5.0, idle=5.0).begin)
    assert [conversation.body.decode() for conversation in got[:-1]] == [host for host, _ in targets]
    assert got[-1].errno == errno.ECONNREFUSED


@pytest.fixture
def few_descriptors() -> Iterator[int]:
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield 40
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_no_descriptor_left_is_our_own_fault(few_descriptors: int) -> None:
    resource = pytest.importorskip("resource")

    async def run() -> list[Conversation]:
        ended: list[Conversation] = []
        done = asyncio.Event()
        dialer = Dialer(lambda batch: (ended.extend(batch), done.set()))  # type: ignore[func-returns-value]
        spare = os.dup(0)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (spare, hard))
        os.close(spare)
        held = [os.dup(0) for _ in range(spare) if _room(spare)]
        try:
            dialer.dial("127.0.0.1", 9, script().begin(""), None, connect_timeout=1.0, max_bytes=10)
            await asyncio.wait_for(done.wait(), 5)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            for fd in held:
                os.close(fd)
            await dialer.close()
        return ended

    got = one(asyncio.run(run()))
    assert (got.errno, got.left_host, got.phase, got.failed) == (errno.EMFILE, False, "connect", True)


def _room(limit: int) -> bool:
    """Whether a descriptor below `limit` is free."""
    try:
        os.close(os.dup(0))
    except OSError:
        return False
    return True


@pytest.mark.parametrize(
    ("host", "port"), [("localhost", 80), ("127.0.0.1.example.org", 80), ("", 80), ("127.0.0.1", -1), ("::1", 65_536)]
)
async def test_what_is_no_target_is_refused_at_once(host: str, port: int) -> None:
    dialer = Dialer(lambda _: None)
    with pytest.raises(ValueError, match="not"):
        dialer.dial(host, port, script().begin(""), None, connect_timeout=1.0, max_bytes=10)
    assert dialer.in_flight == 0
    await dialer.close()


async def test_confined_nothing_is_dialled_beyond_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(confine.VARIABLE, "1")
    confine.forget()
    dialer = Dialer(lambda _: None)
    with pytest.raises(confine.ConfinedError):
        dialer.dial("192.0.2.1", 80, script().begin(""), None, connect_timeout=1.0, max_bytes=10)
    assert dialer.in_flight == 0
    await dialer.close()


async def test_abort_hands_nothing_over_and_leaves_no_socket() -> None:
    handed: list[Conversation] = []
    dialer = Dialer(handed.extend)
    with talker(talkers.hold()) as target:
        for _ in range(LAUNCH_SLICE * 2):
            dialer.dial(*target, script(first=9.0).begin(""), None, connect_timeout=5.0, max_bytes=10)
        await asyncio.sleep(0.05)
        assert dialer.in_flight == LAUNCH_SLICE * 2
        assert dialer.open > 0
        dialer.abort_all()
        assert dialer.in_flight == 0
        await asyncio.sleep(0.05)
        assert handed == []
        # It goes on after that.
        dialer.dial(*target, script(first=0.05).begin(""), None, connect_timeout=5.0, max_bytes=10)
        async with asyncio.timeout(5):
            while not handed:
                await asyncio.sleep(0.01)
    await dialer.close()
    with pytest.raises(ValueError, match="closed"):
        dialer.dial("127.0.0.1", 9, script().begin(""), None, connect_timeout=1.0, max_bytes=1)


async def test_recalled_are_those_asked_for_and_the_others_go_on() -> None:
    handed: list[Conversation] = []
    dialer = Dialer(handed.extend)
    with talker(talkers.hold()) as target:
        for tag in range(8):
            dialer.dial(*target, script(first=0.5).begin(""), tag, connect_timeout=5.0, max_bytes=10)
        assert dialer.recall(lambda tag: tag == 7) == [7]  # of those that are not opened yet
        async with asyncio.timeout(5):
            while dialer.open < 7:
                await asyncio.sleep(0.01)
        assert sorted(dialer.recall(lambda tag: tag % 2 == 0)) == [0, 2, 4, 6]
        assert dialer.in_flight == 3
        async with asyncio.timeout(5):
            while dialer.in_flight:
                await asyncio.sleep(0.01)
    assert sorted(conversation.tag for conversation in handed) == [1, 3, 5]
    await dialer.close()


async def test_a_recalled_connection_is_reset() -> None:
    server = socket.create_server(("127.0.0.1", 0))
    dialer = Dialer(lambda _: None)
    dialer.dial(*server.getsockname(), script(first=9.0).begin(""), None, connect_timeout=5.0, max_bytes=10)
    peer, _ = await asyncio.to_thread(server.accept)
    dialer.recall(lambda tag: True)
    with pytest.raises(ConnectionResetError):
        await asyncio.to_thread(peer.recv, 1)
    peer.close()
    server.close()
    await dialer.close()


async def test_without_epoll_the_loop_is_the_poller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(select, "epoll", raising=False)
    handed: list[Conversation] = []
    dialer = Dialer(handed.extend)
    assert isinstance(dialer._poller, LoopPoller)
    with talker(talkers.say(b"hello")) as target:
        dialer.dial(*target, script().begin(""), None, connect_timeout=5.0, max_bytes=10)
        async with asyncio.timeout(5):
            while not handed:
                await asyncio.sleep(0.01)
    assert handed[0].body == b"hello"
    await dialer.close()


async def test_dialling_from_inside_on_end() -> None:
    with talker(talkers.say(b"again")) as target:
        handed: list[Conversation] = []
        done = asyncio.Event()

        def on_end(batch: list[Conversation]) -> None:
            handed.extend(batch)
            if len(handed) < 20:
                dialer.dial(*target, script().begin(""), None, connect_timeout=5.0, max_bytes=10)
            else:
                done.set()

        dialer = Dialer(on_end)
        dialer.dial(*target, script().begin(""), None, connect_timeout=5.0, max_bytes=10)
        async with asyncio.timeout(10):
            await done.wait()
        await dialer.close()
    assert [conversation.body for conversation in handed] == [b"again"] * 20


@pytest.mark.parametrize(("syns", "repeats", "timeout"), [(None, None, 9.0), (1, None, 0.8), (2, 1, 9.0), (5, 4, 9.0)])
async def test_so_many_syns_and_no_more(syns: int | None, repeats: int | None, timeout: float) -> None:
    """The kernel repeats the others; the one that it would always repeat once is given less time than that takes."""
    with talker(lambda connection: connection.recv(1)) as (host, port):
        dialer = Dialer(lambda ended: None)
        try:
            dialer.dial(host, port, Script(first=60.0).begin(host), "x", connect_timeout=9.0, max_bytes=9, syns=syns)
            async with asyncio.timeout(60):
                while not dialer.open:
                    await asyncio.sleep(0)
            (conversation,) = dialer._by_fd.values()
            assert conversation._connect_timeout == timeout
            if repeats is not None and hasattr(socket, "TCP_SYNCNT"):
                assert conversation._sock is not None
                assert conversation._sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_SYNCNT) == repeats
        finally:
            await dialer.close()
