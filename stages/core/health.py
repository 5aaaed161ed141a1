"""/metrics, /healthz and /readyz on one port: a very small HTTP/1.1 server inside the event loop it reports on.

- `/healthz`: the loop turns. If it hangs there is no answer; if the heartbeat is late the answer is 503.
- `/readyz`: 200 when every check holds, otherwise 503 and the names of those which do not.
- `/metrics`: a scrape in the text format.

Whatever is sent to it, it holds a bounded number of connections and bytes for a bounded time. One request a connection
(RFC 9112 9.6, `Connection: close`); no body is read.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Final

from stages.core.errors import HostError, UsageError
from stages.core.metrics import Metrics

log = logging.getLogger("longline.core.health")

#: Bytes of a request's head: some browsers send four thousand, nobody who asks here needs more.
MAX_HEAD: Final = 8_192

#: Seconds until a request must be there, and for an answer to be taken.
TIMEOUT: Final = 5.0

#: Connections at once: a scraper, a prober and an operator; beyond it one is closed at once.
MAX_CONNECTIONS: Final = 32

#: Seconds between heartbeats, and the age of the last one above which the loop counts as stuck.
BEAT: Final = 0.5
MAX_BEAT_AGE: Final = 10.0


class Heartbeat:
    """Measures how late the loop comes round: seconds beyond the time asked for."""

    def __init__(self, metrics: Metrics) -> None:
        self._lag = metrics.gauge("longline_event_loop_lag_seconds", "How late the event loop comes round, last seen")
        self._worst = metrics.gauge("longline_event_loop_lag_max_seconds", "The same, longest since the start")
        self._beat = 0.0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._beat = asyncio.get_running_loop().time()
        self._task = asyncio.create_task(self._run(), name="heartbeat")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    @property
    def age(self) -> float:
        """Seconds since the last beat."""
        return asyncio.get_running_loop().time() - self._beat

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + BEAT
            await asyncio.sleep(BEAT)
            self._beat = loop.time()
            lag = max(0.0, self._beat - due)
            self._lag.set(lag)
            self._worst.set(max(lag, self._worst.value))


class HealthServer:
    """Serves `metrics` and `checks` (name -> whether it is ready) on (host, port); port 0 takes a free one.

    async with HealthServer(("127.0.0.1", 9090), metrics, {"bannergrab": lambda: runner.ready}) as server: ...

    `checks` is looked at with each request, so it may be filled later. Raises HostError when the port cannot be had,
    UsageError when the address means nothing.
    """

    def __init__(self, address: tuple[str, int], metrics: Metrics, checks: Mapping[str, Callable[[], bool]]) -> None:
        self._address = address
        self._metrics = metrics
        self._checks = checks
        self._heartbeat = Heartbeat(metrics)
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> HealthServer:
        host, port = self._address
        try:
            self._server = await asyncio.start_server(self._connected, host or None, port, limit=MAX_HEAD)
        except OSError as error:
            problem = error.strerror or str(error)
            if error.errno is None or error.errno < 0:  # a name that cannot be resolved
                raise UsageError("--metrics", f"{host}:{port}", problem) from error
            raise HostError(f"cannot serve metrics on {host}:{port}: {problem}") from error
        self._heartbeat.start()
        log.info("metrics and health on port %d", self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def port(self) -> int:
        """The port it listens on."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            for task in self._open:
                task.cancel()
            await asyncio.gather(*self._open, return_exceptions=True)
            await self._server.wait_closed()
            self._server = None
        await self._heartbeat.close()

    def answer(self, method: str, path: str) -> tuple[HTTPStatus, str, bytes]:
        """(status, content type, body) for a request."""
        text = "text/plain; charset=utf-8"
        if method not in ("GET", "HEAD"):
            return HTTPStatus.METHOD_NOT_ALLOWED, text, b"only GET and HEAD\n"
        match path.partition("?")[0]:
            case "/metrics":
                kind, body = self._metrics.render()
                return HTTPStatus.OK, kind, body
            case "/healthz":
                age = self._heartbeat.age
                if age > MAX_BEAT_AGE:
                    return HTTPStatus.SERVICE_UNAVAILABLE, text, b"the loop last came round %d s ago\n" % age
                return HTTPStatus.OK, text, b"ok\n"
            case "/readyz":
                missing = sorted(name for name, check in self._checks.items() if not check())
                if missing:
                    return HTTPStatus.SERVICE_UNAVAILABLE, text, f"not ready: {', '.join(missing)}\n".encode()
                return HTTPStatus.OK, text, b"ready\n"
        return HTTPStatus.NOT_FOUND, text, b"/metrics, /healthz, /readyz\n"

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._open) >= MAX_CONNECTIONS:
            writer.transport.abort()
            return
        task = asyncio.create_task(self._serve(reader, writer), name="health request")
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(TIMEOUT):
                method, status, kind, body = await self._respond(reader)
                head = (
                    f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {kind}\r\n"
                    f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
                )
                writer.write(head.encode() + (b"" if method == "HEAD" else body))
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        except (TimeoutError, OSError, EOFError) as error:
            log.debug("a request came to nothing: %s", error)
        finally:
            writer.transport.abort()

    async def _respond(self, reader: asyncio.StreamReader) -> tuple[str, HTTPStatus, str, bytes]:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            return "", HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "text/plain", b"too large\n"
        words = head.split(b"\r\n", 1)[0].split(b" ")
        if len(words) != 3 or not words[2].startswith(b"HTTP/1."):
            return "", HTTPStatus.BAD_REQUEST, "text/plain", b"not HTTP/1.1\n"
        method, path = words[0].decode("latin-1"), words[1].decode("latin-1")
        return method, *self.answer(method, path)
