"""The engine of many connections on sockets that are connected already: on both loops, with both pollers."""

from __future__ import annotations

import asyncio
import errno
import itertools
import os
import select
import shutil
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack

import pytest

from stages.net.adopting import Adopter
from stages.net.conversation import Conversation, Dialogue
from stages.net.dialing import LAUNCH_SLICE, Dialer
from stages.net.firewall import Lease
from tests.require import require
from tests.servers import talkers
from tests.servers.dialling import DEADLINE, LOOPS, POLLERS, script
from tests.servers.half_open import OWN_WSCALE, shaker
from tests.servers.inside import inside
from tests.servers.talkers import talker
from tests.servers.veth import FAR, NEAR, veth

ENGINES = list(itertools.product(POLLERS, LOOPS))
STARTED = 1_700_000_000_000_000


@pytest.fixture(params=ENGINES, ids="-".join)
def engine(request: pytest.FixtureRequest) -> tuple[str, str]:
    poller, loop = request.param
    if poller == "epoll" and not hasattr(select, "epoll"):
        pytest.skip("no epoll here")
    return poller, loop


def connected(target: tuple[str, int]) -> socket.socket:
    sock = socket.create_connection(target, timeout=DEADLINE)
    sock.setblocking(False)
    return sock


def converse(
    engine: tuple[str, str],
    socks: Sequence[socket.socket],
    dialogue: Callable[[str], Dialogue],
    *,
    rtt: float = 0.25,
    max_bytes: int = 65_536,
    target: tuple[str, int] | None = None,
) -> list[Conversation]:
    """The conversations in the order of the sockets; each is handed over once, and its socket closed."""

    async def run() -> list[Conversation]:
        ended: list[Conversation] = []
        done = asyncio.Event()

        def on_end(batch: list[Conversation]) -> None:
            ended.extend(batch)
            if len(ended) == len(socks):
                done.set()

        dialer = Dialer(on_end, open_poller=POLLERS[engine[0]])
        try:
            for number, sock in enumerate(socks):
                host, port = target or sock.getpeername()
                dialer.adopt(
                    sock, host, port, dialogue(host), number, started=STARTED, connected=rtt, max_bytes=max_bytes
                )
            assert dialer.in_flight == len(socks)
            async with asyncio.timeout(DEADLINE):
                await done.wait()
            assert (dialer.in_flight, dialer.open) == (0, 0)
        finally:
            await dialer.close()
        return sorted(ended, key=lambda conversation: conversation.tag)

    with asyncio.Runner(loop_factory=LOOPS[engine[1]]) as runner:
        found = runner.run(run())
    assert all(sock.fileno() == -1 for sock in socks)
    return found


def test_the_server_speaks_first(engine: tuple[str, str]) -> None:
    with talker(talkers.say(b"SSH-2.0-test\r\n")) as target:
        (got,) = converse(engine, [connected(target)], script().begin)
    assert got.fault is None, got.fault
    assert (got.host, got.port, got.body) == (*target, b"SSH-2.0-test\r\n")
    assert (got.closed_by, got.phase, got.errno, got.failed) == ("peer", "read", None, False)
    assert got.started == STARTED
    assert got.connected == pytest.approx(0.25)
    assert got.first_byte is not None
    assert got.ended is not None
    assert 0.25 <= got.first_byte <= got.ended


def test_we_speak_first(engine: tuple[str, str]) -> None:
    with talker(talkers.answer(b"200 ")) as target:
        (got,) = converse(engine, [connected(target)], script(b"GET %s\r\n\r\n").begin)
    assert got.fault is None, got.fault
    assert got.body.startswith(b"200 GET ")
    assert got.sent > 0


def test_what_came_before_it_was_handed_over(engine: tuple[str, str]) -> None:
    """It stands in the socket, and nothing more will make it readable."""
    with talker(talkers.say(b"220 hello\r\n")) as target:
        sock = connected(target)
        sock.setblocking(True)
        assert sock.recv(100, socket.MSG_PEEK)
        sock.setblocking(False)
        (got,) = converse(engine, [sock], script().begin)
    assert got.body == b"220 hello\r\n"


def test_a_peer_that_stays_silent(engine: tuple[str, str]) -> None:
    """The waits begin when the connection is handed over, however long ago it was begun."""
    with talker(lambda connection: connection.recv(1)) as target:
        (got,) = converse(engine, [connected(target)], script(first=0.1).begin, rtt=5.0)
    assert (got.timed_out, got.phase, got.size) == (True, "read", 0)


def test_a_peer_that_has_reset_it(engine: tuple[str, str]) -> None:
    ready = threading.Event()

    def reset(connection: socket.socket) -> None:
        ready.wait(DEADLINE)
        talkers.reset(connection)

    with talker(reset) as target:
        sock = connected(target)
        ready.set()
        assert select.select([sock], [], [], DEADLINE)[0]  # it has come
        (got,) = converse(engine, [sock], script(b"hello").begin, target=target)
    assert got.failed
    assert got.errno in (errno.ECONNRESET, errno.EPIPE)
    assert got.closed_by == "peer"
    assert got.connected is not None


def test_more_than_one_slice(engine: tuple[str, str]) -> None:
    count = LAUNCH_SLICE * 2 + 1
    with talker(talkers.say(b"hi\n"), backlog=count) as target:
        found = converse(engine, [connected(target) for _ in range(count)], script().begin)
    assert [got.tag for got in found] == list(range(count))
    assert {got.body for got in found} == {b"hi\n"}


def test_a_limit(engine: tuple[str, str]) -> None:
    with talker(talkers.say(b"x" * 1000)) as target:
        (got,) = converse(engine, [connected(target)], script().begin, max_bytes=10)
    assert (got.truncated, got.body) == (True, b"x" * 10)


def test_a_dialogue_at_fault(engine: tuple[str, str]) -> None:
    class Broken:
        idle = total = 5.0

        def opening(self) -> bytes:
            raise RuntimeError("broken")

        def wait(self) -> float:
            return 1.0

        def silence(self) -> bytes | None:
            return None

        def receive(self, data: bytes) -> bytes | None:
            return None

        def farewell(self) -> bytes:
            return b""

        def eof(self) -> bytes | None:
            return None

    with talker(talkers.say(b"hi\n")) as target:
        (got,) = converse(engine, [connected(target)], lambda _: Broken())
    assert str(got.fault) == "broken"


async def test_what_is_dropped_is_closed() -> None:
    ended: list[Conversation] = []
    dialer = Dialer(ended.extend)
    with talker(talkers.say(b"hi\n")) as target:
        first, second, third = connected(target), connected(target), connected(target)
        how = {"started": STARTED, "connected": 0.1, "max_bytes": 100}
        dialer.adopt(first, *target, script().begin(target[0]), 1, **how)
        dialer.abort_all()
        assert first.fileno() == -1
        dialer.adopt(second, *target, script().begin(target[0]), 2, **how)
        await dialer.close()
        assert second.fileno() == -1
        with pytest.raises(ValueError, match="closed"):
            dialer.adopt(third, *target, script().begin(target[0]), 3, **how)
        assert third.fileno() == -1
    assert ended == []


def test_a_connection_that_the_scanner_began(engine: tuple[str, str]) -> None:
    """The whole way: SYN from a raw socket, the lease, the helper, the engine."""
    require(shutil.which("nft", path=f"{os.environ['PATH']}:/usr/sbin:/sbin"), "needs nftables")
    with veth() as pair, inside(pair.near_pid) as near, inside(pair.far_pid) as far, ExitStack() as stack:
        port = far(lambda: stack.enter_context(talker(talkers.answer(b"200 ", b"\r\n"), FAR)))[1]
        stack.enter_context(near(lambda: Lease.take([NEAR], (40000, 40010))))
        adopter = stack.enter_context(near(Adopter))
        shake = near(lambda: stack.enter_context(shaker("near0", NEAR)))
        rows = [shake.synack(FAR, port, own) for own in range(40000, 40005)]
        socks = []
        for answer in adopter.adopt(rows, own_wscale=OWN_WSCALE, acknowledge=False):
            assert isinstance(answer, socket.socket)
            socks.append(answer)
        found = converse(engine, socks, script(b"hello\r\n").begin)
    assert [got.body for got in found] == [b"200 hello\r\n"] * 5
