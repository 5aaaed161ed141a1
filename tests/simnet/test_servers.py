"""The scripts on real sockets of the loopback range, under asyncio's own loop and under uvloop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime

import pytest
import uvloop

from stages.simnet import servers, sorts
from stages.simnet.behaviours import http_response, script
from stages.simnet.certificates import make
from stages.simnet.tlsanswers import Contexts
from stages.simnet.truth import Kind, Shares, Truth

IDENTITIES, _ = make(datetime(2026, 11, 21, tzinfo=UTC))
CONTEXTS = Contexts(IDENTITIES)
LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}
PATIENCE = 10.0


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Callable[..., object]:
    """Runs a coroutine in the loop of the parameter."""

    def runs(coroutine: object) -> object:
        with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
            return runner.run(coroutine)  # type: ignore[arg-type]

    return runs


@contextlib.asynccontextmanager
async def serving(*, tls: bool = False) -> AsyncIterator[tuple[Truth, int]]:
    """Every open service of a dense truth on 0.0.0.0 of one free port."""
    listeners = servers.listen([("0.0.0.0", 0)])
    listeners[0].setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")  # no other interface gets in
    port = listeners[0].getsockname()[1]
    ports = frozenset({port}) if tls else frozenset()
    truth = Truth(5, ("127.77.0.0/22",), (port,), Shares(open=0.8, filtered=0.0), tls_ports=ports)
    running = await servers.serve(listeners, truth, CONTEXTS)
    try:
        yield truth, port
    finally:
        for server in running:
            server.close()
        await asyncio.sleep(0)


def place(truth: Truth, port: int, kind: Kind) -> str:
    return next(ip for ip, _, found in truth.services() if found is kind)


async def talk(ip: str, port: int, say: bytes = b"", *, stay: float = 0.0) -> tuple[bytes, str]:
    """What came, and how it ended: fin, rst or nothing (after `stay` seconds without a byte)."""
    loop = asyncio.get_running_loop()
    with socket.socket() as sock:
        sock.setblocking(False)
        await loop.sock_connect(sock, (ip, port))
        if say:
            await loop.sock_sendall(sock, say)
        data = b""
        while True:
            try:
                async with asyncio.timeout(stay or PATIENCE):
                    got = await loop.sock_recv(sock, 1 << 16)
            except ConnectionResetError:
                return data, "rst"
            except TimeoutError:
                return data, "nothing"
            if not got:
                return data, "fin"
            data += got


@pytest.mark.parametrize("kind", [Kind.SSH, Kind.SMTP, Kind.FTP, Kind.SILENT])
@pytest.mark.parametrize("say", [b"", b"GET / HTTP/1.0\r\n\r\n"])
def test_who_stays_stays(run: Callable[..., object], kind: Kind, say: bytes) -> None:
    async def main() -> None:
        async with serving() as (truth, port):
            ip = place(truth, port, kind)
            data, end = await talk(ip, port, say, stay=0.3)
            assert data == script(kind, ip, port, truth.detail(ip, port)).greeting
            assert end == "nothing"

    run(main())


@pytest.mark.parametrize("say", [b"", b"GET / HTTP/1.0\r\n\r\n" * 1000])
@pytest.mark.parametrize("kind", [Kind.DRIP, Kind.FLOOD, Kind.HALF_CLOSE, Kind.GARBAGE, Kind.CLOSE])
def test_who_ends_ends_with_a_fin_and_all_its_bytes(run: Callable[..., object], kind: Kind, say: bytes) -> None:
    async def main() -> None:
        async with serving() as (truth, port):
            ip = place(truth, port, kind)
            data, end = await talk(ip, port, say)
            assert data == script(kind, ip, port, truth.detail(ip, port)).greeting
            assert end == "fin"

    run(main())


def test_http_answers(run: Callable[..., object]) -> None:
    async def main() -> None:
        async with serving(tls=True) as (truth, port):
            ip = place(truth, port, Kind.HTTP)
            assert await talk(ip, port, stay=0.2) == (b"", "nothing")
            for request in (b"GET / HTTP/1.0\r\n\r\n", b"\x00", b"\x16\x03\x01" + bytes(5000)):
                data, end = await talk(ip, port, request)
                assert (data, end) == (http_response(ip, port, truth.detail(ip, port)), "fin")

    run(main())


def test_reset_is_a_reset(run: Callable[..., object]) -> None:
    async def main() -> None:
        async with serving() as (truth, port):
            ip = place(truth, port, Kind.RESET)
            try:
                ended = await talk(ip, port)
            except ConnectionResetError:  # it may come before connect has returned; never as a refusal
                ended = b"", "rst"
            assert ended == (b"", "rst")

    run(main())


def test_what_is_not_open_is_reset(run: Callable[..., object]) -> None:
    async def main() -> None:
        async with serving() as (truth, port):
            assert truth.state("127.0.0.1", port) is Kind.CLOSED
            with contextlib.suppress(ConnectionResetError):
                assert await talk("127.0.0.1", port) == (b"", "rst")

    run(main())


@pytest.mark.parametrize(("kind", "version"), [(Kind.TLS12, "TLSv1.2"), (Kind.TLS13, "TLSv1.3")])
def test_tls(run: Callable[..., object], kind: Kind, version: str) -> None:
    async def main() -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        async with serving(tls=True) as (truth, port):
            ip = place(truth, port, kind)
            reader, writer = await asyncio.open_connection(ip, port, ssl=context)
            tls = writer.get_extra_info("ssl_object")
            number = sorts.number(kind, truth.detail(ip, port))
            assert tls.version() == version
            assert tls.getpeercert(binary_form=True) == IDENTITIES[number].chain[0]
            writer.write(b"GET / HTTP/1.0\r\n\r\n")
            async with asyncio.timeout(PATIENCE):
                assert await reader.read() == http_response(ip, port, truth.detail(ip, port))
            writer.close()
            await writer.wait_closed()

    run(main())


def test_the_unparsable_certificate_is_shown(run: Callable[..., object]) -> None:
    async def main() -> None:
        async with serving(tls=True) as (truth, port):
            ip = place(truth, port, Kind.TLS_UNPARSABLE)
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).wrap_bio(incoming, outgoing, server_hostname="x.example")
            with pytest.raises(ssl.SSLWantReadError):
                tls.do_handshake()
            data, end = await talk(ip, port, outgoing.read(), stay=0.3)
            number = sorts.number(Kind.TLS_UNPARSABLE, truth.detail(ip, port))
            assert IDENTITIES[number].chain[0] in data
            assert end == "nothing"

    run(main())


def test_a_client_that_leaves_early_does_no_harm(run: Callable[..., object]) -> None:
    async def main() -> None:
        complaints: list[dict[str, object]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        async with serving() as (truth, port):
            for kind in (Kind.DRIP, Kind.FLOOD, Kind.SSH, Kind.GARBAGE, Kind.SILENT):
                with socket.create_connection((place(truth, port, kind), port)) as sock:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
            ip = place(truth, port, Kind.HALF_CLOSE)
            data, end = await talk(ip, port)
            assert (data, end) == (script(Kind.HALF_CLOSE, ip, port, truth.detail(ip, port)).greeting, "fin")
        assert complaints == []

    run(main())


def test_a_lazy_connection_is_reset(run: Callable[..., object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "MAX_SECONDS", 0.1)

    async def main() -> None:
        async with serving() as (truth, port):
            assert await talk(place(truth, port, Kind.SILENT), port) == (b"", "rst")

    run(main())


def test_listening_all_or_nothing() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError, match="in use"):
            servers.listen([("127.0.0.1", 0), taken.getsockname()])


def test_workers_share_a_port() -> None:
    first = servers.listen([("127.0.0.1", 0)], shared=True)
    second = servers.listen([first[0].getsockname()], shared=True)
    assert first[0].getsockname() == second[0].getsockname()
    for sock in (*first, *second):
        sock.close()
