"""Real TLS over loopback, in one loop."""

from __future__ import annotations

import asyncio
import datetime as dt
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from stages.core.errors import HostError, Unavailable, UsageError
from stages.fleet import ca
from stages.fleet.coordinator import Answer
from stages.fleet.https import Client, Server, checked
from stages.fleet.messages import MAX_MESSAGE


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
