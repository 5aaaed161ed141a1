from __future__ import annotations

import asyncio
import socket
import threading

import pytest
import uvloop
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stages.core import health as module
from stages.core.errors import HostError, UsageError
from stages.core.health import MAX_CONNECTIONS, MAX_HEAD, HealthServer
from stages.core.metrics import Metrics

LOOPBACK = ("127.0.0.1", 0)


async def ask(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        return await asyncio.wait_for(reader.read(), 10)
    except ConnectionError:
        return b""
    finally:
        writer.transport.abort()
        await asyncio.sleep(0)


async def get(port: int, path: str, method: str = "GET") -> tuple[int, bytes]:
    answer = await ask(port, f"{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


async def test_the_three_pages() -> None:
    metrics, checks = Metrics(), {"bus": lambda: ready[0], "store": lambda: True}
    ready = [False]
    metrics.counter("longline_x_sent", "Sent").add(3)
    async with HealthServer(LOOPBACK, metrics, checks) as server:
        assert await get(server.port, "/healthz") == (200, b"ok\n")
        assert await get(server.port, "/readyz") == (503, b"not ready: bus\n")
        ready[0] = True
        assert await get(server.port, "/readyz?verbose=1") == (200, b"ready\n")
        status, body = await get(server.port, "/metrics")
        assert status == 200
        assert b"longline_x_sent_total 3.0" in body
        assert b"longline_event_loop_lag_seconds" in body
        assert await get(server.port, "/healthz", "HEAD") == (200, b"")
        assert (await get(server.port, "/other"))[0] == 404
        assert (await get(server.port, "/metrics", "POST"))[0] == 405


async def test_a_late_heartbeat_is_not_healthy(monkeypatch: pytest.MonkeyPatch) -> None:
    async with HealthServer(LOOPBACK, Metrics(), {}) as server:
        monkeypatch.setattr(module, "MAX_BEAT_AGE", -1.0)
        status, body = await get(server.port, "/healthz")
        assert status == 503
        assert b"the loop last came round" in body


async def test_the_heart_beats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BEAT", 0.001)
    metrics = Metrics()
    heart = module.Heartbeat(metrics)
    heart.start()
    first = heart._beat
    async with asyncio.timeout(5):
        while heart._beat == first:
            await asyncio.sleep(0.001)
    assert heart.age < 5
    await heart.close()
    await heart.close()
    value = metrics.registry.get_sample_value
    lag, worst = value("longline_event_loop_lag_seconds"), value("longline_event_loop_lag_max_seconds")
    assert lag is not None
    assert worst is not None
    assert 0 <= lag <= worst


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400),
        (b"GET /metrics\r\n\r\n", 400),
        (b"GET /metrics HTTP/2\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nA: " + b"x" * (2 * MAX_HEAD) + b"\r\n\r\n", 431),
        (b"\x00" * (4 * MAX_HEAD), 431),
    ],
)
async def test_garbage(request_: bytes, status: int) -> None:
    async with HealthServer(LOOPBACK, Metrics(), {}) as server:
        answer = await ask(server.port, request_)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 %d " % status)  # it may be reset before it is read
        assert await get(server.port, "/healthz") == (200, b"ok\n")


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300))
async def test_any_bytes(data: bytes) -> None:
    async with HealthServer(LOOPBACK, Metrics(), {}) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(data)
        writer.write_eof()
        answer = await asyncio.wait_for(reader.read(), 10)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 ")
        writer.transport.abort()


async def test_byte_by_byte() -> None:
    async with HealthServer(LOOPBACK, Metrics(), {}) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        for byte in b"GET /healthz HTTP/1.1\r\n\r\n":
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0)
        assert (await asyncio.wait_for(reader.read(), 10)).endswith(b"ok\n")
        writer.transport.abort()


async def test_a_slow_client_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TIMEOUT", 0.05)
    async with HealthServer(LOOPBACK, Metrics(), {}) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET /hea")
        try:
            assert await asyncio.wait_for(reader.read(), 10) == b""
        except ConnectionResetError:
            pass
        writer.transport.abort()
        assert await get(server.port, "/healthz") == (200, b"ok\n")


async def test_connections_are_bounded() -> None:
    async with HealthServer(LOOPBACK, Metrics(), {}) as server:
        pairs = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(MAX_CONNECTIONS)]
        async with asyncio.timeout(10):
            while len(server._open) < MAX_CONNECTIONS:
                await asyncio.sleep(0.001)
        assert await ask(server.port, b"GET /healthz HTTP/1.1\r\n\r\n") == b""
        for _, writer in pairs:
            writer.transport.abort()
        async with asyncio.timeout(10):
            while server._open:
                await asyncio.sleep(0.001)
        assert await get(server.port, "/healthz") == (200, b"ok\n")


async def test_closing_with_a_client_inside() -> None:
    server = HealthServer(LOOPBACK, Metrics(), {})
    async with server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        async with asyncio.timeout(10):
            while not server._open:
                await asyncio.sleep(0.001)
    assert not server._open
    writer.transport.abort()
    await asyncio.sleep(0)
    await server.close()


async def test_a_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(HostError, match=f"cannot serve metrics on 127.0.0.1:{port}"):
            await HealthServer(("127.0.0.1", port), Metrics(), {}).__aenter__()


async def test_a_host_that_means_nothing() -> None:
    with pytest.raises(UsageError, match="--metrics"):
        await HealthServer(("999.1.1.1.invalid", 0), Metrics(), {}).__aenter__()


@pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_on_both_loops_and_from_another_thread(factory: object) -> None:
    async def main() -> bytes:
        async with HealthServer(LOOPBACK, Metrics(), {}) as server:
            answer: list[bytes] = []

            def client() -> None:
                with socket.create_connection(("127.0.0.1", server.port), 10) as sock:
                    sock.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
                    while data := sock.recv(4096):
                        answer.append(data)

            thread = threading.Thread(target=client)
            thread.start()
            while thread.is_alive():
                await asyncio.sleep(0.005)
            thread.join()
            return b"".join(answer)

    with asyncio.Runner(loop_factory=factory) as runner:  # type: ignore[arg-type]
        assert runner.run(main()).endswith(b"ok\n")
