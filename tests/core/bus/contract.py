"""What every transport promises: subclass `FlowContract`, `BusContract` or `GroupContract`, and give it a fixture
`bus`.

The fixture yields a `Harness`: it makes sources and publishers of one log, knows how one of its consumers dies, and
closes what is left. Every consumer here has the same group unless it says otherwise.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from stages.core.bus.base import Broadcast, Chunk, OnRevoke, Output, Partition, Publisher, Source, Tail

#: Seconds until something must have happened: much more than it takes, so that a busy machine does not fail a test.
DEADLINE = 40.0

HITS, BANNERS, DEAD, WORK, ORDERS = "t.hits.v1", "t.banners.v1", "t.dead.v1", "t.work.v1", "t.orders.v1"


async def never(partitions: Sequence[Partition]) -> None:
    """An `on_revoke` that has nothing to give back."""


class Harness:
    """One log and its clients. Subclasses make them."""

    def __init__(self, prefix: str = "") -> None:
        self.prefix = prefix
        self._made: list[Any] = []

    def topic(self, name: str) -> str:
        return self.prefix + name

    def make_source(self, topics: Sequence[str], group: str) -> Source:
        raise AssertionError("a harness makes sources")

    def make_publisher(self) -> Publisher:
        raise AssertionError("a harness makes publishers")

    def make_tail(self, topic: str, key: bytes) -> Tail:
        raise AssertionError("a harness of a log makes tails")

    async def tail(self, key: bytes) -> Tail:
        """Of the topic WORK."""
        tail = self.make_tail(self.topic(WORK), key)
        self._made.append(tail)
        await tail.start()
        return tail

    async def source(self, *names: str, group: str = "g", on_revoke: OnRevoke = never) -> Source:
        source = self.make_source([self.topic(name) for name in names or (HITS,)], self.prefix + group)
        self._made.append(source)
        await source.start(on_revoke)
        return source

    def make_broadcast(self, topic: str) -> Broadcast:
        raise AssertionError("a harness makes broadcasts")

    async def broadcast(self, name: str = ORDERS) -> Broadcast:
        reader = self.make_broadcast(self.topic(name))
        self._made.append(reader)
        async with asyncio.timeout(DEADLINE):
            await reader.start()
        return reader

    async def publisher(self) -> Publisher:
        publisher = self.make_publisher()
        self._made.append(publisher)
        await publisher.start()
        return publisher

    async def crash(self, source: Source) -> None:
        """The consumer dies: nothing more is committed."""
        await source.close()

    async def close(self) -> None:
        for client in reversed(self._made):
            await client.close()

    def outputs(self, count: int, *, keys: int = 5, topic: str = HITS) -> list[Output]:
        """Records `KEY:NUMBER`, numbers rising within each key."""
        return [Output(self.topic(topic), b"k%d" % (i % keys), b"k%d:%d" % (i % keys, i)) for i in range(count)]


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not await condition():
            await asyncio.sleep(0.01)


async def read(source: Source, count: int, max_records: int = 1000) -> list[Chunk]:
    """Chunks with at least `count` lines in all."""
    chunks: list[Chunk] = []
    async with asyncio.timeout(DEADLINE):
        while sum(len(chunk.lines) for chunk in chunks) < count:
            chunks += await source.poll(max_records, 0.2)
    return chunks


async def heard(reader: Broadcast, count: int) -> list[bytes]:
    """So many lines of a broadcast."""
    found: list[bytes] = []
    async with asyncio.timeout(DEADLINE):
        while len(found) < count:
            found += lines(await reader.poll(0.1))
    return found


async def nothing_more(source: Source) -> None:
    assert await source.poll(1000, 0.2) == []


def lines(chunks: Sequence[Chunk]) -> list[bytes]:
    return [line for chunk in chunks for line in chunk.lines]


def ends(chunks: Sequence[Chunk]) -> dict[Partition, int]:
    """Positions to commit when all of the chunks are done."""
    return {(chunk.topic, chunk.partition): chunk.next_offset for chunk in chunks}


class FlowContract:
    """What every transport promises, a pipe too: nothing is lost or changed on the way, and order is kept."""

    async def test_settle_publishes_and_commits(self, bus: Harness) -> None:
        publisher, source = await bus.publisher(), await bus.source()
        await publisher.publish(bus.outputs(20))
        chunks = await read(source, 20)
        assert await source.lag() == 20
        await publisher.settle(bus.outputs(3), source, ends(chunks))
        again = await read(source, 3)
        assert sorted(lines(again)) == sorted(output.value for output in bus.outputs(3))
        await source.commit(ends(again))
        assert await source.lag() == 0

    async def test_order_within_a_key(self, bus: Harness) -> None:
        publisher = await bus.publisher()
        source = await bus.source()
        sent = bus.outputs(700, keys=23)
        for start in range(0, 700, 100):
            await publisher.publish(sent[start : start + 100])
        got = lines(await read(source, 700, max_records=37))
        assert sorted(got) == sorted(output.value for output in sent)
        for key in range(23):
            mine = [line for line in got if line.startswith(b"k%d:" % key)]
            assert mine == [output.value for output in sent if output.key == b"k%d" % key]

    async def test_one_key_has_one_partition_and_offsets_rise(self, bus: Harness) -> None:
        publisher, source = await bus.publisher(), await bus.source()
        await publisher.publish(bus.outputs(60))
        chunks = await read(source, 60)
        homes: dict[bytes, set[int]] = {}
        last: dict[int, int] = {}
        for chunk in chunks:
            assert chunk.topic == bus.topic(HITS)
            assert chunk.offset == last.get(chunk.partition, chunk.offset)
            assert chunk.next_offset > chunk.offset
            last[chunk.partition] = chunk.next_offset
            for line in chunk.lines:
                homes.setdefault(line.partition(b":")[0], set()).add(chunk.partition)
        assert all(len(home) == 1 for home in homes.values())

    async def test_settle_without_source_publishes(self, bus: Harness) -> None:
        publisher, source = await bus.publisher(), await bus.source()
        await publisher.settle(bus.outputs(4), None, {})
        await publisher.publish([])
        await publisher.settle([], None, {})
        assert len(lines(await read(source, 4))) == 4

    async def test_oversized_and_undecodable_values_are_handed_on(self, bus: Harness) -> None:
        publisher, source = await bus.publisher(), await bus.source()
        big = b"x" * 1_000_001
        bad = b"\xff\xfe{\x00"
        values = [b"a", big, bad, b"b"]
        publishing = asyncio.create_task(publisher.publish([Output(bus.topic(HITS), b"k", value) for value in values]))
        assert lines(await read(source, 4)) == values
        await publishing

    async def test_poll_of_nothing_keeps_everything(self, bus: Harness) -> None:
        publisher, source = await bus.publisher(), await bus.source()
        await publisher.publish(bus.outputs(10))
        for _ in range(3):
            assert await source.poll(0, 0.02) == []
        assert source.ready
        got = await read(source, 4, max_records=4)
        assert await source.poll(0, 0.02) == []
        got += await read(source, 10 - len(lines(got)))
        assert sorted(lines(got)) == sorted(output.value for output in bus.outputs(10))

    async def test_poll_takes_about_what_is_asked(self, bus: Harness) -> None:
        publisher, source = await bus.publisher(), await bus.source()
        await publisher.publish(bus.outputs(300))
        left = 300
        async with asyncio.timeout(DEADLINE):
            while left:
                chunks = await source.poll(20, 0.2)
                assert len(lines(chunks)) <= 20
                left -= len(lines(chunks))

    async def test_an_empty_log_gives_nothing(self, bus: Harness) -> None:
        source = await bus.source()
        await nothing_more(source)
        assert await source.lag() == 0
        assert not source.ended
        assert source.ready

    async def test_a_waiting_poll_sees_what_comes(self, bus: Harness) -> None:
        publisher, source = await bus.publisher(), await bus.source()
        waiting = asyncio.create_task(read(source, 1))
        await asyncio.sleep(0.05)
        await publisher.publish(bus.outputs(1))
        assert lines(await waiting) == [b"k0:0"]

    async def test_publishers_at_once_lose_nothing(self, bus: Harness) -> None:
        publishers = [await bus.publisher() for _ in range(3)]
        source = await bus.source()
        await asyncio.gather(*[publisher.publish(bus.outputs(50)) for publisher in publishers for _ in range(2)])
        assert sorted(lines(await read(source, 300))) == sorted([o.value for o in bus.outputs(50)] * 6)

    async def test_closed_twice_and_never_started(self, bus: Harness) -> None:
        source, publisher = await bus.source(), await bus.publisher()
        for client in (source, publisher):
            await client.close()
            await client.close()
        assert not source.ready
        await bus.make_source([bus.topic(HITS)], "h").close()
        await bus.make_publisher().close()


class BusContract(FlowContract):
    """What a log promises besides: what is published stays there, and what is not committed comes again."""

    async def test_what_was_published_before_the_first_consumer_is_read(self, bus: Harness) -> None:
        publisher = await bus.publisher()
        await publisher.publish(bus.outputs(10))
        source = await bus.source(group="late")
        assert len(lines(await read(source, 10))) == 10

    async def test_a_crash_after_poll_delivers_all_again(self, bus: Harness) -> None:
        publisher, source = await bus.publisher(), await bus.source()
        await publisher.publish(bus.outputs(40))
        first = await read(source, 40)
        await bus.crash(source)
        second = await read(await bus.source(), 40)
        assert sorted(lines(first)) == sorted(lines(second))

    async def test_a_crash_between_publish_and_commit_delivers_again(self, bus: Harness) -> None:
        publisher, source = await bus.publisher(), await bus.source()
        await publisher.publish(bus.outputs(20))
        await read(source, 20)
        results = bus.outputs(20, topic=BANNERS)
        await publisher.publish(results)
        await bus.crash(source)
        source = await bus.source()
        again = await read(source, 20)
        await publisher.settle(results, source, ends(again))
        banners = lines(await read(await bus.source(BANNERS, group="sink"), 40))
        assert sorted(banners) == sorted([output.value for output in results] * 2)  # at least once: here twice

    async def test_a_crash_after_settle_delivers_nothing_again(self, bus: Harness) -> None:
        publisher, source = await bus.publisher(), await bus.source()
        await publisher.publish(bus.outputs(20))
        done = await read(source, 20)
        await publisher.settle(bus.outputs(3, topic=BANNERS), source, ends(done))
        await bus.crash(source)
        source = await bus.source()
        await nothing_more(source)
        assert await source.lag() == 0
        assert len(lines(await read(await bus.source(BANNERS, group="sink"), 3))) == 3

    async def test_settle_without_outputs_commits(self, bus: Harness) -> None:
        publisher, source = await bus.publisher(), await bus.source()
        await publisher.publish(bus.outputs(20))
        await publisher.settle([], source, ends(await read(source, 20)))
        await bus.crash(source)
        await nothing_more(await bus.source())

    async def test_only_the_positions_given_are_committed(self, bus: Harness) -> None:
        publisher, source = await bus.publisher(), await bus.source()
        key = b"10.0.0"
        for i in range(30):  # one message each, so that every transport has an offset there
            await publisher.publish([Output(bus.topic(HITS), key, b"%d" % i)])
        chunks = await read(source, 30)
        middle = next(chunk for chunk in chunks if b"11" in chunk.lines)
        at = (middle.topic, middle.partition)
        await source.commit({at: middle.offset})
        await bus.crash(source)
        again = lines(await read(await bus.source(), 30 - int(middle.lines[0])))
        assert again == [b"%d" % i for i in range(int(middle.lines[0]), 30)]

    async def test_a_commit_of_another_topic_is_ignored(self, bus: Harness) -> None:
        publisher, source = await bus.publisher(), await bus.source()
        await publisher.publish(bus.outputs(5) + bus.outputs(5, topic=BANNERS))
        chunks = await read(source, 5)
        await source.commit({**ends(chunks), (bus.topic(BANNERS), 0): 5})
        assert await source.lag() == 0
        assert await (await bus.source(BANNERS, group="sink")).lag() == 5

    async def test_json_lines_in_one_message(self, bus: Harness) -> None:
        publisher, source = await bus.publisher(), await bus.source()
        await publisher.publish([Output(bus.topic(HITS), b"k", b'{"a":1}\n\n{"a":2}\r\n{"a":3}\n')])
        await publisher.publish([Output(bus.topic(HITS), b"k", b'{"a":4}')])
        chunks = await read(source, 4)
        assert lines(chunks) == [b'{"a":1}', b'{"a":2}', b'{"a":3}', b'{"a":4}']
        assert len(chunks[0].lines) == 3
        await source.commit(ends(chunks))
        assert await source.lag() == 0

    async def test_an_empty_message_can_be_committed(self, bus: Harness) -> None:
        publisher, source = await bus.publisher(), await bus.source()
        await publisher.publish([Output(bus.topic(HITS), b"k", b""), Output(bus.topic(HITS), b"k", b"x")])
        chunks = await read(source, 1)
        assert lines(chunks) == [b"x"]
        await source.commit(ends(chunks))
        assert await source.lag() == 0

    @pytest.mark.parametrize(
        "value",
        [b"\xff\xfe\x00 not utf-8 \n\n with lines \r\n", b"", b"\n", b"{", bytes(range(256)) * 40],
        ids=["lines", "empty", "blank", "short", "binary"],
    )
    async def test_dead_letters_are_untouched(self, bus: Harness, value: bytes) -> None:
        publisher, source = await bus.publisher(), await bus.source(DEAD)
        headers = {
            "reason": b"undecodable",
            "source": b"t.hits.v1/3@17",
            "error": "überlang \n".encode(),
            "stage": b"s",
        }
        await publisher.publish([Output(bus.topic(DEAD), b"k", value, headers)])
        await publisher.publish([Output(bus.topic(DEAD), b"k", b"next", {"reason": b"schema"})])
        chunks = await read(source, 2)
        assert lines(chunks) == [value, b"next"]
        assert dict(chunks[0].headers or {}) == headers
        await source.commit(ends(chunks))
        assert await source.lag() == 0

    async def test_two_groups_are_independent(self, bus: Harness) -> None:
        publisher = await bus.publisher()
        banner, tls = await bus.source(group="banner"), await bus.source(group="tls")
        await publisher.publish(bus.outputs(30))
        chunks = await read(banner, 30)
        await banner.commit(ends(chunks))
        assert await banner.lag() == 0
        assert await tls.lag() == 30
        assert len(lines(await read(tls, 30))) == 30

    async def test_a_broadcast_is_read_whole_by_everybody(self, bus: Harness) -> None:
        publisher = await bus.publisher()
        sent = bus.outputs(40, topic=ORDERS)
        await publisher.publish(sent[:30])
        first = await bus.broadcast()
        assert not first.caught_up
        assert sorted(await heard(first, 30)) == sorted(output.value for output in sent[:30])
        assert first.caught_up
        waiting = asyncio.create_task(heard(first, 10))
        await publisher.publish(sent[30:])
        assert sorted(await waiting) == sorted(output.value for output in sent[30:])
        second = await bus.broadcast()
        got = await heard(second, 40)
        for key in range(5):
            mine = [line for line in got if line.startswith(b"k%d:" % key)]
            assert mine == [output.value for output in sent if output.key == b"k%d" % key]
        assert await first.poll(0.05) == await second.poll(0.05) == []

    async def test_a_broadcast_of_what_is_not_there_yet(self, bus: Harness) -> None:
        reader = await bus.broadcast()
        async with asyncio.timeout(DEADLINE):
            while not reader.caught_up:
                await reader.poll(0.05)
        await (await bus.publisher()).publish(bus.outputs(1, topic=ORDERS))
        assert await heard(reader, 1) == [b"k0:0"]
        await reader.close()
        await reader.close()

    async def test_a_broadcast_is_no_reader_that_others_wait_for(self, bus: Harness) -> None:
        publisher, source, reader = await bus.publisher(), await bus.source(), await bus.broadcast(HITS)
        await publisher.publish(bus.outputs(10))
        await source.commit(ends(await read(source, 10)))
        assert await source.lag() == 0
        await heard(reader, 10)
        assert (await bus.source(group="another")).ready

    async def test_several_topics(self, bus: Harness) -> None:
        publisher, source = await bus.publisher(), await bus.source(HITS, BANNERS)
        await publisher.publish([*bus.outputs(9), *bus.outputs(6, topic=BANNERS)])
        chunks = await read(source, 15)
        assert {chunk.topic for chunk in chunks} == {bus.topic(HITS), bus.topic(BANNERS)}
        await source.commit(ends(chunks))
        assert await source.lag() == 0


class GroupContract(BusContract):
    """What a transport promises besides, whose groups have several members."""

    async def test_two_consumers_share_the_partitions(self, bus: Harness) -> None:
        publisher = await bus.publisher()
        one, two = await self.pair(bus)
        await publisher.publish(bus.outputs(200, keys=40))
        first, second = await self.read_both(one, two, 200)
        assert first
        assert second
        assert not {(c.topic, c.partition) for c in first} & {(c.topic, c.partition) for c in second}
        assert sorted(lines(first) + lines(second)) == sorted(o.value for o in bus.outputs(200, keys=40))

    async def pair(self, bus: Harness, on_revoke: OnRevoke = never) -> tuple[Source, Source]:
        one = await bus.source(on_revoke=on_revoke)
        joining = asyncio.create_task(bus.source())
        async with asyncio.timeout(DEADLINE):
            while not joining.done():
                await one.poll(100, 0.05)
        two = joining.result()

        async def both_read() -> bool:
            await asyncio.gather(one.poll(0, 0.05), two.poll(0, 0.05))
            return one.ready and two.ready

        await until(both_read)
        return one, two

    async def read_both(self, one: Source, two: Source, count: int) -> tuple[list[Chunk], list[Chunk]]:
        first: list[Chunk] = []
        second: list[Chunk] = []
        async with asyncio.timeout(DEADLINE):
            while len(lines(first)) + len(lines(second)) < count:
                a, b = await asyncio.gather(one.poll(50, 0.2), two.poll(50, 0.2))
                first += a
                second += b
        return first, second

    async def test_revocation_lets_the_member_settle_first(self, bus: Harness) -> None:
        publisher = await bus.publisher()
        held: list[Chunk] = []
        asked: list[Sequence[Partition]] = []
        polled: list[list[Chunk]] = []

        async def settle(partitions: Sequence[Partition]) -> None:
            asked.append(partitions)
            polled.append(await one.poll(100, 0.05))  # the loop goes on polling meanwhile, and gets nothing
            mine = set(partitions)
            await publisher.settle([], one, {at: end for at, end in ends(held).items() if at in mine})

        one = bus.make_source([bus.topic(HITS)], bus.prefix + "g")
        bus._made.append(one)
        await one.start(settle)
        await publisher.publish(bus.outputs(100, keys=40))
        held += await read(one, 100)
        joining = asyncio.create_task(bus.source())
        async with asyncio.timeout(DEADLINE):
            while not joining.done():
                assert await one.poll(100, 0.05) == []
        assert set(asked[0]) >= set(ends(held))
        assert polled[0] == []
        await nothing_more(joining.result())
        assert await one.lag() == 0

    async def test_what_was_revoked_is_committed_by_the_new_owner_only(self, bus: Harness) -> None:
        publisher = await bus.publisher()
        one = await bus.source()
        await publisher.publish(bus.outputs(100, keys=40))
        stale = ends(await read(one, 100))
        joining = asyncio.create_task(bus.source())
        got: list[Chunk] = []
        async with asyncio.timeout(DEADLINE):
            while not joining.done():
                got += await one.poll(100, 0.05)
        two = joining.result()
        await bus.crash(one)
        await one.commit(stale)  # too late: ignored
        assert await two.lag() == 100
        assert len(set(lines(await read(two, 100)))) == 100


class TailContract:
    """What every log promises to who reads what comes for one key from now on."""

    async def test_a_tail_sees_what_comes_after_its_start(self, bus: Harness) -> None:
        publisher = await bus.publisher()
        await publisher.publish(bus.outputs(20, topic=WORK))
        tail = await bus.tail(b"k1")
        assert await tail.poll(0.2) == []
        sent = bus.outputs(400, topic=WORK)
        for start in range(0, 400, 100):
            await publisher.publish(sent[start : start + 100])
        wanted = [output.value for output in sent if output.key == b"k1"]
        assert await self._of_key(tail, b"k1", len(wanted)) == wanted
        assert [line for line in lines(await tail.poll(0.2)) if line.startswith(b"k1:")] == []

    async def test_tails_of_one_key_see_the_same(self, bus: Harness) -> None:
        publisher, one, two = await bus.publisher(), await bus.tail(b"k3"), await bus.tail(b"k3")
        await publisher.publish(bus.outputs(20, topic=WORK))
        assert await self._of_key(one, b"k3", 4) == await self._of_key(two, b"k3", 4)

    async def test_a_large_message_reaches_a_tail(self, bus: Harness) -> None:
        publisher, tail = await bus.publisher(), await bus.tail(b"k1")
        value = b"k1:" + b"x" * (6 << 20)
        await publisher.publish([Output(bus.topic(WORK), b"k1", value)])
        assert await self._of_key(tail, b"k1", 1) == [value]

    async def _of_key(self, tail: Tail, key: bytes, count: int) -> list[bytes]:
        """The lines of this key, when there are so many."""
        found: list[bytes] = []
        async with asyncio.timeout(DEADLINE):
            while len(found) < count:
                found += [line for line in lines(await tail.poll(0.2)) if line.startswith(key + b":")]
        return found
