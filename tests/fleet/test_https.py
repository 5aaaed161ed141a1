"""Real TLS over loopback, in one loop."""

from __future__ import annotations

import asyncio
import datetime as dt
import ssl
from collections.abc import AsyncIterator
from gzip import compress
from pathlib import Path

import pytest

from stages.core.errors import HostError, Unavailable, UsageError
from stages.fleet import ca
from stages.fleet.coordinator import Answer
from stages.fleet.https import MAX_STRANGERS_BODY, Client, PageServer, Server, checked
from stages.fleet.messages import MAX_MESSAGE
from stages.fleet.notice_site import Request, Response
from stages.fleet.serving import Shown, bound
from tests.fleet.broker import identity_of
from tests.fleet.contract import WayContract, Ways
from tests.fleet.house import House
from tests.fleet.material import work


class Heard:
    """Answers with what it was asked."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str | None, str, bytes]] = []
        self.fault: Exception | None = None

    async def __call__(self, path: str, serial: str | None, token: str, body: bytes) -> Answer:
        if self.fault is not None:
            raise self.fault
        self.requests.append((path, serial, token, body))
        return Answer(200 if serial else 401, body)


@pytest.fixture
async def heard() -> Heard:
    return Heard()


@pytest.fixture
async def server(authority: ca.Authority, heard: Heard) -> AsyncIterator[Server]:
    made = Server(heard, ca.Identity(authority.folder), "127.0.0.1", 0)
    made.port = await made.start()
    yield made
    await made.close()


def enrolled(authority: ca.Authority, folder: Path, alias: str = "alice") -> tuple[ca.Identity, str]:
    identity = ca.Identity(folder)
    key, request = ca.request(alias)
    pem, serial, _ = authority.agent(request, alias, dt.datetime.now(dt.UTC))
    ca.write_private(identity.key, key)
    ca.write_private(identity.certificate, pem)
    ca.write_private(identity.authority, authority.pem)
    return identity, serial


async def test_the_certificate_that_was_shown_is_told(
    server: Server, heard: Heard, authority: ca.Authority, tmp_path: Path
) -> None:
    identity, serial = enrolled(authority, tmp_path)
    client = Client(f"https://localhost:{server.port}", identity)
    assert await client.post("/v1/x", b"body", "7") == (200, b"body")
    assert heard.requests == [("/v1/x", serial, "7", b"body")]
    await client.close()


async def test_without_a_certificate_one_may_ask_but_is_nobody(server: Server, heard: Heard) -> None:
    client = Client(f"https://127.0.0.1:{server.port}", None)
    assert (await client.post("/v1/x", b""))[0] == 401
    assert heard.requests[0][1] is None
    await client.close()


async def test_a_certificate_of_another_authority_does_not_come_in(
    server: Server, heard: Heard, authority: ca.Authority, tmp_path: Path
) -> None:
    other = ca.Authority.make(tmp_path / "other", dt.datetime.now(dt.UTC))
    identity, _ = enrolled(other, tmp_path / "alice")
    ca.write_private(identity.authority, authority.pem)
    client = Client(f"https://localhost:{server.port}", identity)
    with pytest.raises(Unavailable):
        await client.post("/v1/x", b"")
    assert heard.requests == []
    await client.close()


async def test_a_certificate_of_ours_that_has_ended_is_for_the_coordinator_to_refuse(
    server: Server, heard: Heard, authority: ca.Authority, tmp_path: Path
) -> None:
    """In words: a handshake that breaks says nothing to either side."""
    identity = ca.Identity(tmp_path)
    key, request = ca.request("alice")
    pem, serial, _ = authority.agent(request, "alice", dt.datetime(2020, 1, 1, tzinfo=dt.UTC))
    for path, content in ((identity.key, key), (identity.certificate, pem), (identity.authority, authority.pem)):
        ca.write_private(path, content)
    client = Client(f"https://localhost:{server.port}", identity)
    assert (await client.post("/v1/x", b""))[0] == 200
    assert heard.requests[0][1] == serial
    await client.close()


async def test_who_is_not_our_coordinator_is_told_nothing(server: Server, heard: Heard, tmp_path: Path) -> None:
    other = ca.Authority.make(tmp_path / "other", dt.datetime.now(dt.UTC))
    identity, _ = enrolled(other, tmp_path / "alice")
    for client in (
        Client(f"https://localhost:{server.port}", identity),
        Client(f"https://localhost:{server.port}", None, authority=other.pem),
    ):
        with pytest.raises(HostError, match="is not our coordinator"):
            await client.post("/v1/x", b"secret")
        await client.close()
    assert heard.requests == []


@pytest.mark.parametrize(
    ("host", "made", "said"),
    [
        ("elsewhere.example", dt.datetime.now(dt.UTC), "is not our coordinator"),
        ("localhost", dt.datetime(2020, 1, 1, tzinfo=dt.UTC), "expired"),
    ],
    ids=["another name", "expired"],
)
async def test_a_certificate_that_is_not_good(
    heard: Heard, authority: ca.Authority, tmp_path: Path, host: str, made: dt.datetime, said: str
) -> None:
    identity = ca.Identity(tmp_path)
    authority.server(identity, (host,), made)
    ca.write_private(identity.authority, authority.pem)
    server = Server(heard, identity, "127.0.0.1", 0)
    client = Client(f"https://localhost:{await server.start()}", None, authority=authority.pem)
    with pytest.raises(HostError, match=said):
        await client.post("/v1/x", b"")
    assert heard.requests == []
    await client.close()
    await server.close()


async def test_plain_tcp_and_rubbish_disturb_nobody(server: Server, authority: ca.Authority, tmp_path: Path) -> None:
    for data in (b"GET / HTTP/1.1\r\n\r\n", b"\x00" * 100, b""):
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(data)
        await writer.drain()
        writer.close()
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=context)
    writer.write(b"\xff" * 5_000 + b"\r\n\r\n")
    assert b"400" in await reader.readline()
    writer.close()
    identity, _ = enrolled(authority, tmp_path)
    client = Client(f"https://localhost:{server.port}", identity)
    assert (await client.post("/v1/x", b""))[0] == 200
    await client.close()


async def test_too_long_a_body_is_not_taken_in(
    server: Server, heard: Heard, authority: ca.Authority, tmp_path: Path
) -> None:
    identity, _ = enrolled(authority, tmp_path)
    client = Client(f"https://localhost:{server.port}", identity)
    try:
        assert (await client.post("/v1/x", b"x" * (MAX_MESSAGE + 100_000)))[0] == 413
    except Unavailable:
        pass  # it hangs up while we still send
    assert heard.requests == []
    await client.close()


async def test_of_a_stranger_less_is_taken_in(server: Server, heard: Heard, authority: ca.Authority) -> None:
    client = Client(f"https://localhost:{server.port}", None, authority=authority.pem)
    assert (await client.post("/v1/enrol", b"x" * MAX_STRANGERS_BODY))[0] == 401
    assert (await client.post("/v1/enrol", b"x" * (MAX_STRANGERS_BODY + 1)))[0] == 413
    assert [len(body) for _, _, _, body in heard.requests] == [MAX_STRANGERS_BODY]
    await client.close()


async def test_a_stranger_does_not_stay_and_an_agent_does(
    heard: Heard, authority: ca.Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stages.fleet.https.STRANGERS_SECONDS", 2.0)
    monkeypatch.setattr("stages.fleet.https.MAX_CONNECTIONS", 2)
    server = Server(heard, ca.Identity(authority.folder), "127.0.0.1", 0)
    port = await server.start()
    identity, _ = enrolled(authority, tmp_path)
    client = Client(f"https://localhost:{port}", identity)
    assert (await client.post("/v1/x", b""))[0] == 200
    [kept] = server._serials
    anybody = ssl.create_default_context()
    anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
    silent, writer = await asyncio.open_connection("127.0.0.1", port, ssl=anybody)
    assert await said(port, b"POST /v1/authority HTTP/1.0\r\n\r\n", tls=True) == b"", "there is no room"
    async with asyncio.timeout(20):
        assert await silent.read() == b""
    writer.close()
    assert not kept.is_closing()
    assert (await client.post("/v1/x", b""))[0] == 200
    assert list(server._serials) == [kept]
    await client.close()
    await server.close()


async def test_a_cut_connection_is_made_again_by_those_who_may(
    server: Server, authority: ca.Authority, tmp_path: Path
) -> None:
    identity, serial = enrolled(authority, tmp_path)
    client = Client(f"https://localhost:{server.port}", identity)
    await client.post("/v1/x", b"")
    server.cut({serial})
    async with asyncio.timeout(10):
        while True:
            try:
                assert (await client.post("/v1/x", b""))[0] == 200
                break
            except Unavailable:
                await asyncio.sleep(0.01)
    await client.close()


async def test_a_state_that_cannot_be_kept_ends_the_coordinator(
    server: Server, heard: Heard, authority: ca.Authority, tmp_path: Path
) -> None:
    identity, _ = enrolled(authority, tmp_path)
    client = Client(f"https://localhost:{server.port}", identity)
    heard.fault = HostError("the disk is full")
    assert (await client.post("/v1/x", b""))[0] == 503
    assert server.fault is not None
    assert str(server.fault.exception()) == "the disk is full"
    await client.close()


async def test_nobody_listens_there() -> None:
    client = Client("https://127.0.0.1:1", None)
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1"):
        await client.post("/v1/x", b"")
    await client.close()


async def test_a_port_that_is_taken(server: Server, heard: Heard, authority: ca.Authority) -> None:
    second = Server(heard, ca.Identity(authority.folder), "127.0.0.1", server.port)
    with pytest.raises(HostError, match=str(server.port)):
        await second.start()


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="enrol first"):
        Client("https://127.0.0.1:1", ca.Identity(tmp_path))


@pytest.mark.parametrize(
    ("url", "whole"),
    [
        ("coordinator.example", "https://coordinator.example:46001"),
        ("https://coordinator.example", "https://coordinator.example:46001"),
        ("https://192.0.2.1:443/", "https://192.0.2.1:443"),
        ("https://[2001:db8::1]", "https://[2001:db8::1]:46001"),
    ],
)
def test_urls(url: str, whole: str) -> None:
    assert checked(url) == whole


@pytest.mark.parametrize(
    "url", ["", "http://x", "https://", "https://x/y", "https://x?y", "https://x:99999", "ftp://x"]
)
def test_no_urls(url: str) -> None:
    with pytest.raises(UsageError, match="COORDINATOR"):
        checked(url)


class Pages:
    """Remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Request] = []

    async def __call__(self, request: Request) -> Response:
        self.asked.append(request)
        return Response(200, b"hello there", {"Content-Type": "text/plain; charset=utf-8", "Server": "longline"})


@pytest.fixture
async def pages() -> AsyncIterator[tuple[Pages, int, int]]:
    """(what was asked, port, port with TLS)"""
    heard = Pages()
    made = PageServer(heard, 1_000)
    plain, tls = bound("--http", "127.0.0.1", 0), bound("--https", "127.0.0.1", 0)
    shown = Shown(None, None, ["127.0.0.1"], dt.datetime.now(dt.UTC))
    await made.start([(plain, None), (tls, shown.context)])
    yield heard, plain.getsockname()[1], tls.getsockname()[1]
    await made.close()


async def said(port: int, data: bytes, *, tls: bool = False) -> bytes:
    """All that comes back until the end."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context if tls else None)
    writer.write(data)
    try:
        async with asyncio.timeout(60):
            return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


async def test_a_page_is_asked_for(pages: tuple[Pages, int, int]) -> None:
    heard, plain, tls = pages
    ask = b"%s /a%%20b?c HTTP/1.1\r\nHost: whoever\r\nCookie: x=y\r\nConnection: close\r\n\r\n"
    for port, secure in ((plain, False), (tls, True)):
        answer = await said(port, ask % b"GET", tls=secure)
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert answer.endswith(b"\r\n\r\nhello there")
        assert b"\r\nServer: longline\r\n" in answer
        [request] = heard.asked
        assert (request.method, request.path, request.secure) == ("GET", "/a%20b", secure)
        assert request.headers["cookie"] == "x=y"
        heard.asked.clear()
    answer = await said(plain, ask % b"HEAD")
    assert b"Content-Length: 11\r\n" in answer
    assert answer.endswith(b"\r\n\r\n")


async def test_a_form_is_sent(pages: tuple[Pages, int, int]) -> None:
    heard, plain, _ = pages
    head = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
    assert b" 200 " in await said(plain, head % 1_000 + b"x" * 1_000)
    assert heard.asked[0].body == b"x" * 1_000
    assert b" 413 " in await said(plain, head % 1_002 + b"x" * 1_002)
    gzip = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"
    bomb = compress(bytes(100_000_000), 9)
    assert b" 200 " not in await said(plain, gzip % len(bomb) + bomb)
    assert len(heard.asked) == 1


@pytest.mark.parametrize(
    "data",
    [
        b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"x" * 100_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"".join(b"A%d: x\r\n" % n for n in range(5_000)) + b"\r\n",
        b"\x16\x03\x01\x00\xff" * 9 + b"\r\n\r\n",
        b"\xff" * 5_000 + b"\r\n\r\n",
    ],
)
async def test_rubbish_is_refused_and_said_of_it_is_nothing(
    pages: tuple[Pages, int, int], data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    heard, plain, _ = pages
    assert b" 200 " not in (await said(plain, data)).split(b"\r\n")[0]
    assert heard.asked == []
    assert not [record for record in caplog.records if record.name.startswith(("longline", "aiohttp"))]
    assert b" 200 " in await said(plain, b"GET / HTTP/1.0\r\n\r\n")


async def test_who_says_nothing_or_never_ends_is_sent_away(
    pages: tuple[Pages, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection has an end whatever it does: here within a moment instead of half a minute."""
    heard, plain, tls = pages
    monkeypatch.setattr("stages.fleet.https.PAGE_CONNECTION_SECONDS", 0.05)
    for data in (b"", b"GET / HTTP/1.1\r\nA: b", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nx"):
        assert b" 200 " not in await said(plain, data)
        assert b" 200 " not in await said(tls, data, tls=True)
    assert heard.asked == []


async def test_there_is_room_for_so_many(pages: tuple[Pages, int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    _, plain, _ = pages
    monkeypatch.setattr("stages.fleet.https.PAGE_CONNECTIONS", 2)
    ask = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    held = [await asyncio.open_connection("127.0.0.1", plain) for _ in range(2)]
    for reader, writer in held:
        writer.write(ask)
        assert b" 200 " in await reader.readline()
    assert await said(plain, ask) == b""
    held[0][1].close()
    async with asyncio.timeout(60):
        while not await said(plain, b"GET / HTTP/1.0\r\n\r\n"):
            await asyncio.sleep(0.01)
    held[1][1].close()


class OverHttps(Ways):
    def __init__(self, house: House, folder: Path, port: int) -> None:
        self.house, self._folder, self._url = house, folder, f"https://localhost:{port}"
        self.made: list[Client] = []

    def way(self, alias: str | None, authority: bytes | None = None) -> Client:
        identity = None if alias is None else identity_of(self.house, self._folder / alias, alias)[0]
        self.made.append(Client(self._url, identity, authority=authority))
        return self.made[-1]


@pytest.fixture
async def ways(tmp_path: Path, authority: ca.Authority) -> AsyncIterator[OverHttps]:
    house = House(tmp_path, authority)
    await house.begin(work=work())
    server = Server(house.coordinator.handle, ca.Identity(authority.folder), "127.0.0.1", 0)
    made = OverHttps(house, tmp_path, await server.start())
    yield made
    for client in made.made:
        await client.close()
    await server.close()
    house.state.close()


class TestHttps(WayContract):
    """The contract over HTTPS."""
