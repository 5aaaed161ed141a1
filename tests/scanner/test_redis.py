"""Results in a real Redis server, as redis-cli sees them."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from stages.core.errors import Confined, HostError
from stages.scanner import redis as clients
from stages.scanner.fields import choose
from stages.scanner.hits import HitLines, HitSource
from stages.scanner.outputs.base import Format
from stages.scanner.outputs.redis import Redis
from stages.scanner.redis import RedisDestination
from tests.servers.answers import rst, synack
from tests.servers.redis import PATIENCE, RedisServer, redis_server

HITS = HitLines(HitSource("s", "tcp_synscan"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as one:
        yield one


def destination(url: str, fields: str = "saddr") -> RedisDestination:
    return RedisDestination(Redis(Format(choose(fields, "tcp_synscan"), HITS, args=url)))


async def write(url: str, fields: str = "saddr") -> None:
    one = destination(url, fields)
    try:
        await one.begin(append=False)
        await one.write([synack(), synack(address="10.0.0.2")])
        await one.write([])
        await one.write([rst(address="10.0.0.3")])
        await one.settle()
    finally:
        await one.close()


async def test_a_list_in_order(server: RedisServer) -> None:
    await write(f"{server.url}?list=found")
    assert server.ask("LRANGE", "found", "0", "-1") == ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
    await write(f"{server.url}?list=found")  # what is there stays
    assert server.ask("LLEN", "found") == ["6"]


async def test_rows_of_several_fields_and_objects(server: RedisServer) -> None:
    await write(f"{server.url}?list=rows", "saddr,classification")
    assert server.ask("LRANGE", "rows", "0", "-1") == ["10.0.0.1,synack", "10.0.0.2,synack", "10.0.0.3,rst"]
    await write(f"{server.url}?list=objects&format=json", "saddr,success")
    assert json.loads(server.ask("LINDEX", "objects", "2")[0]) == {"saddr": "10.0.0.3", "success": False}


async def test_as_zmap_2_named_them(server: RedisServer) -> None:
    await write(f"tcp://127.0.0.1:{server.port}/old")
    await write(f"local://{server.socket}/old")
    assert server.ask("LLEN", "old") == ["6"]


async def test_a_channel(server: RedisServer) -> None:
    listener = await asyncio.create_subprocess_exec(
        "redis-cli", "-p", str(server.port), "SUBSCRIBE", "news", stdout=subprocess.PIPE
    )
    try:
        assert listener.stdout is not None
        async with asyncio.timeout(PATIENCE):
            assert [await listener.stdout.readline() for _ in range(3)] == [b"subscribe\n", b"news\n", b"1\n"]
            await write(f"{server.url}?channel=news")
            heard = [await listener.stdout.readline() for _ in range(9)]
        assert heard[2::3] == [b"10.0.0.1\n", b"10.0.0.2\n", b"10.0.0.3\n"]
    finally:
        listener.terminate()
        await listener.wait()


async def test_a_server_that_goes_and_comes_back(server: RedisServer, tmp_path: Path) -> None:
    with redis_server(tmp_path) as own:
        one = destination(f"{own.url}?list=again")
        await one.begin(append=False)
        await one.write([synack()])
        own.stop()
        writing = asyncio.create_task(one.write([synack(address="10.0.0.9")]))
        await asyncio.sleep(0)
        await asyncio.to_thread(own.start)
        async with asyncio.timeout(PATIENCE):
            await writing
        await one.close()
        assert own.ask("LRANGE", "again", "0", "-1") == ["10.0.0.9"]


async def test_no_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(clients, "TRIES", 1)
    with pytest.raises(HostError, match=r"results cannot be written to unix:///"):
        await write(f"unix://{tmp_path}/none")


async def test_an_error_of_the_server_is_told(server: RedisServer) -> None:
    server.ask("SET", "text", "not a list")
    with pytest.raises(HostError, match="WRONGTYPE"):
        await write(f"{server.url}?list=text")


def test_nothing_leaves_a_confined_host() -> None:
    with pytest.raises(Confined, match=r"redis\.example"):
        destination("redis://redis.example")
