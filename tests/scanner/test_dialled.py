"""Hits dialled anew, by real sockets on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from stages.core.outcome import Outcome
from stages.core.records import Hit
from stages.net.conversation import Conversation
from stages.proto.banner import Script
from stages.scanner.dialled import Dialled
from stages.scanner.hits import HitSource
from stages.scanner.rows import Answer
from stages.scanner.said import Grabbing, Left, Said
from tests.servers.answers import synack
from tests.servers.talkers import talker

SOURCE = HitSource("s", "tcp_synscan", syns=1)


def grabbing(**more: Any) -> Grabbing:
    script = Script(first=30.0)

    def record(conversation: Conversation, hit: Hit) -> tuple[Outcome, bytes]:
        return Outcome.OK, conversation.body

    return Grabbing(
        name="wait", topic="t", begin=lambda host, port: script.begin(host, port), record=record,
        expired=lambda hit, ts: b"expired " + hit.ip.encode(), connect_timeout=30.0, **more,
    )  # fmt: skip


async def said_with(
    answers: list[Answer], capacity: int = 2, blocked: Callable[[str], bool] = lambda host: False, **more: Any
) -> list[Said]:
    said: list[Said] = []
    made = Dialled(grabbing(**more), SOURCE, said.append, capacity=capacity, blocked=blocked)
    try:
        async with asyncio.timeout(60):
            await made.take(answers)
            await made.drained()
        assert made.open == 0
        return said
    finally:
        await made.close()


async def test_more_hits_than_room_are_dialled_one_after_the_other() -> None:
    most = open_now = 0

    def greet(connection: Any) -> None:
        nonlocal most, open_now
        open_now += 1
        most = max(most, open_now)
        connection.sendall(b"hello")
        open_now -= 1

    with talker(greet) as (host, port):
        said = await said_with([synack(address=host, port=port, position=at) for at in range(8)])
    lines = [line for batch in said for _, line in batch.rendered(None)[0]]
    assert lines == [b"hello"] * 8
    assert sorted(at for batch in said for at in batch.positions()) == list(range(8))
    assert most <= 2


async def test_a_target_that_became_blocked_is_not_dialled() -> None:
    (left,) = await said_with([synack(address="127.0.0.1", port=1, position=5)], blocked=lambda host: True)
    assert left == Left([5])


@pytest.mark.parametrize("syns", [1, 2])
async def test_no_more_syns_than_a_target_may_be_sent(syns: int) -> None:
    with talker(lambda connection: connection.sendall(b"hello")) as (host, port):
        (batch,) = await said_with([synack(address=host, port=port)], syns=syns)
    ((_, line),) = batch.rendered(None)[0]
    assert line == (b"expired " + host.encode() if syns == 1 else b"hello")


async def test_aborted_it_drops_what_is_under_way_and_takes_no_more() -> None:
    said: list[Said] = []
    made = Dialled(grabbing(), SOURCE, said.append, capacity=1, blocked=lambda host: False)
    with talker(lambda connection: connection.recv(1)) as (host, port):
        address = int.from_bytes(bytes(map(int, host.split("."))), "big")
        taking = asyncio.create_task(made.take([synack(address=address, port=port, position=at) for at in range(3)]))
        async with asyncio.timeout(60):
            while not made.open:
                await asyncio.sleep(0.01)
            made.abort()
            await taking
            await made.drained()
    assert said == []
    await made.close()
