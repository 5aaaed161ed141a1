"""HTTPS with certificates on both sides, and pages for strangers. The only file that knows aiohttp, which is an extra:
`longline[fleet]`.

The server asks each client for a certificate and takes it without one too: who has none may enrol and nothing else
(`coordinator.py` decides). TLS 1.2 at least; agents connect outwards and keep one connection. `PageServer` is for
browsers: nobody shows a certificate, and nobody stays.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable, Collection, Container, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from stages.core.errors import HostError, Unavailable, UsageError
from stages.fleet import ca
from stages.fleet.coordinator import Answer
from stages.fleet.messages import MAX_MESSAGE
from stages.fleet.notice_site import Request, Response
from stages.fleet.settings import PORT

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession, web

log = logging.getLogger("longline.fleet.https")


#: Header with the fencing token of results.
FENCE: Final = "Longline-Token"

#: Seconds that a connection may stay open without a request; and for one request with its answer.
KEEP_SECONDS: Final = 75.0
REQUEST_SECONDS: Final = 30.0

#: Connections at once: some thousand agents.
MAX_CONNECTIONS: Final = 4_096

#: Bytes of what somebody without a certificate may say (a signing request and its token, and room), and seconds that
#: such a connection lasts, whatever it does: a handshake, and two requests.
MAX_STRANGERS_BODY: Final = 32 << 10
STRANGERS_SECONDS: Final = 60.0

#: Of pages. Seconds without a request, for a handshake, and that a connection lasts whatever it does; connections at
#: once; bytes of the first line and of each header, of which there are at most 128.
PAGE_IDLE_SECONDS: Final = 10.0
PAGE_HANDSHAKE_SECONDS: Final = 10.0
PAGE_CONNECTION_SECONDS: Final = 30.0
PAGE_CONNECTIONS: Final = 256
PAGE_MAX_LINE: Final = 4_096


#: X509_V_FLAG_NO_CHECK_TIME of OpenSSL (X509_VERIFY_PARAM_set_flags(3)), for which `ssl` has no name.
_NO_CHECK_TIME: Final = 0x200000

#: (path, serial number of the certificate or None, token, body) -> the answer.
Handle = Callable[[str, str | None, str, bytes], Awaitable[Answer]]


def _aiohttp() -> Any:
    try:
        import aiohttp
        import aiohttp.web
    except ImportError:
        raise UsageError("fleet", None, "needs aiohttp: pip install 'longline[fleet]'") from None
    return aiohttp


class Server:
    """Listens until it is closed."""

    def __init__(self, handle: Handle, identity: ca.Identity, host: str, port: int) -> None:
        self._handle = handle
        self._identity = identity
        self._host, self.port = host, port
        self._serials: dict[asyncio.Transport, str] = {}
        self._runner: web.AppRunner | None = None
        self._listening: asyncio.Server | None = None
        self.fault: asyncio.Future[None] | None = None  #: done when no answer can be given any more

    async def start(self) -> int:
        """Returns the port, which was asked for or given. Raises HostError, UsageError."""
        aiohttp = _aiohttp()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.verify_mode = ssl.CERT_OPTIONAL
        # Whether its time is over is for the coordinator to say, in words: here it would be a connection that breaks.
        context.verify_flags |= _NO_CHECK_TIME
        with _files(self._identity):
            context.load_cert_chain(self._identity.certificate, self._identity.key)
            context.load_verify_locations(self._identity.authority)
        self.fault = asyncio.get_running_loop().create_future()
        application = aiohttp.web.Application(client_max_size=MAX_MESSAGE + 1)
        application.router.add_post("/{way:.*}", self._answer)
        self._runner = aiohttp.web.AppRunner(application, access_log=None, keepalive_timeout=KEEP_SECONDS)
        await self._runner.setup()
        try:
            self._listening = await asyncio.get_running_loop().create_server(
                lambda: _protocol(self._runner, MAX_CONNECTIONS, STRANGERS_SECONDS, self._serials),
                self._host, self.port, ssl=context, backlog=1_024,
            )  # fmt: skip
        except OSError as error:
            await self._runner.cleanup()
            raise HostError(f"port {self.port} of {self._host}: {error.strerror}") from None
        self.port = int(self._listening.sockets[0].getsockname()[1])
        return self.port

    async def _answer(self, request: web.Request) -> web.Response:
        web_ = _aiohttp().web
        transport = request.transport
        if transport is None:
            return web_.Response(status=503)  # type: ignore[no-any-return]
        tls = transport.get_extra_info("ssl_object")
        shown = None if tls is None else tls.getpeercert(binary_form=True)
        serial = None if shown is None else ca.serial_in(shown)
        if serial is not None and transport not in self._serials:
            for gone in [each for each in self._serials if each.is_closing()]:
                del self._serials[gone]
            self._serials[transport] = serial
        length = request.content_length
        if serial is None and request.body_exists and (length is None or length > MAX_STRANGERS_BODY):
            return web_.Response(status=413)  # type: ignore[no-any-return]
        body = await request.read()
        try:
            answer = await self._handle(request.path, serial, request.headers.get(FENCE, ""), body)
        except HostError as error:
            if self.fault is not None and not self.fault.done():
                self.fault.set_exception(error)
            return web_.Response(status=503)  # type: ignore[no-any-return]
        return web_.Response(status=answer.status, body=answer.body, content_type="application/json")  # type: ignore[no-any-return]

    def cut(self, serials: Collection[str]) -> None:
        """Close the connections of these certificates."""
        for transport, serial in list(self._serials.items()):
            if serial in serials:
                transport.abort()

    async def close(self) -> None:
        if self._listening is not None:
            self._listening.close()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        if self.fault is not None and self.fault.done():
            self.fault.exception()


class PageServer:
    """Pages on sockets that are bound already, until it is closed: a bounded number of connections, bytes and seconds,
    whoever comes."""

    def __init__(self, answer: Callable[[Request], Awaitable[Response]], max_body: int) -> None:
        self._answer, self._max_body = answer, max_body
        self._runner: web.AppRunner | None = None
        self._servers: list[asyncio.Server] = []

    async def start(self, sockets: Sequence[tuple[socket.socket, ssl.SSLContext | None]]) -> None:
        """Raises HostError, UsageError."""
        aiohttp = _aiohttp()
        quiet = logging.getLogger("longline.fleet.https.strangers")  # what they break is no line of ours
        quiet.setLevel(logging.CRITICAL)
        application = aiohttp.web.Application(client_max_size=self._max_body)
        application.router.add_route("*", "/{way:.*}", self._page)
        self._runner = aiohttp.web.AppRunner(
            application, access_log=None, logger=quiet, keepalive_timeout=PAGE_IDLE_SECONDS,
            max_line_size=PAGE_MAX_LINE, max_field_size=PAGE_MAX_LINE, lingering_time=0.0,
        )  # fmt: skip
        await self._runner.setup()
        loop = asyncio.get_running_loop()

        def protocol() -> asyncio.Protocol:
            return _protocol(self._runner, PAGE_CONNECTIONS, PAGE_CONNECTION_SECONDS)

        for bound, context in sockets:
            handshake = None if context is None else PAGE_HANDSHAKE_SECONDS
            try:
                self._servers.append(
                    await loop.create_server(
                        protocol, sock=bound, ssl=context, ssl_handshake_timeout=handshake, backlog=128
                    )
                )
            except OSError as error:
                raise HostError(f"pages cannot be served: {error.strerror}") from None

    async def _page(self, request: web.Request) -> web.Response:
        web_ = _aiohttp().web
        secure = request.transport is not None and request.transport.get_extra_info("ssl_object") is not None
        headers = {name.lower(): value for name, value in request.headers.items()}
        body = await request.read()  # a longer one is answered with 413
        answer = await self._answer(Request(request.method, request.rel_url.raw_path, headers, body, secure))
        return web_.Response(status=answer.status, body=answer.body, headers=answer.headers)  # type: ignore[no-any-return]

    async def close(self) -> None:
        for server in self._servers:
            server.close()
        self._servers.clear()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None


def _protocol(
    runner: web.AppRunner | None, most: int, seconds: float, stay: Container[object] = ()
) -> asyncio.Protocol:
    """Of a new connection: of so many at once, and for so long, unless its transport is one of those that stay."""
    server = runner.server if runner is not None else None
    if server is None or len(server.connections) >= most:
        return _Closed()
    protocol: Any = server()

    def end() -> None:
        if protocol.transport not in stay:
            protocol.force_close()

    asyncio.get_running_loop().call_later(seconds, end)
    return protocol  # type: ignore[no-any-return]


class _Closed(asyncio.Protocol):
    """There is no room."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.abort()


class Client:
    """One side's way to a coordinator. Close it."""

    def __init__(self, url: str, identity: ca.Identity | None, *, authority: bytes | None = None) -> None:
        """`identity` None: without a certificate; `authority`: the PEM to trust then, None: nobody is checked.
        Raises UsageError for a URL that is none, HostError for files that cannot be read."""
        self.url = checked(url)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # trusts nobody yet
        self._context.minimum_version = ssl.TLSVersion.TLSv1_2
        if identity is not None:
            with _files(identity):
                self._context.load_cert_chain(identity.certificate, identity.key)
                self._context.load_verify_locations(identity.authority)
        elif authority is not None:
            self._context.load_verify_locations(cadata=authority.decode())
        else:
            self._context.check_hostname = False
            self._context.verify_mode = ssl.CERT_NONE
        self._session: ClientSession | None = None

    async def post(self, path: str, body: bytes, token: str = "") -> tuple[int, bytes]:
        """(status, body). Raises Unavailable; HostError for a server that is not whom it should be."""
        aiohttp = _aiohttp()
        if self._session is None:
            connector = aiohttp.TCPConnector(ssl=self._context, limit=2, keepalive_timeout=KEEP_SECONDS / 2)
            timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS)
            self._session = aiohttp.ClientSession(connector=connector, timeout=timeout)
        headers = {FENCE: token} if token else {}
        try:
            async with self._session.post(f"{self.url}{path}", data=BytesIO(body), headers=headers) as answer:
                return answer.status, await _whole(answer)
        except aiohttp.ClientConnectorCertificateError as error:
            raise HostError(f"{self.url} is not our coordinator: {error.certificate_error}") from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unavailable(f"{self.url}: {str(error) or type(error).__name__}") from None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None


async def _whole(answer: ClientResponse) -> bytes:
    """Its body, MAX_MESSAGE bytes at most: one read gives what has come so far."""
    parts, left = [], MAX_MESSAGE
    while left and (part := await answer.content.read(left)):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def checked(url: str) -> str:
    """The URL of a coordinator, with its port. Raises UsageError."""
    parts = urlsplit(url if "://" in url else f"https://{url}")
    with contextlib.suppress(ValueError):
        if parts.scheme == "https" and parts.hostname and not parts.path.strip("/") and not parts.query:
            host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
            return f"https://{host}:{parts.port or PORT}"
    raise UsageError("COORDINATOR", url, "not https://HOST or https://HOST:PORT")


@contextmanager
def _files(identity: ca.Identity) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        missing = [path for path in _all(identity) if not path.exists()]
        raise UsageError("--folder", str(missing[0]), "no such file: enrol first (longline agent --token)") from None
    except (OSError, ssl.SSLError) as error:
        raise HostError(f"{identity.folder}: its certificates cannot be read: {error}") from None


def _all(identity: ca.Identity) -> tuple[Path, Path, Path]:
    return identity.certificate, identity.key, identity.authority
