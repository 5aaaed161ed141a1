"""The stage: acknowledged only when stored, whatever the store does; whole, over the runner and a log."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from stages.core.bus.base import Output, Topics
from stages.core.bus.memory import MemoryBus
from stages.core.errors import HostError, Unavailable, UsageError
from stages.core.job import Desk, End, Job
from stages.core.outcome import DeadReason
from stages.core.records import MAX_RECORD_BYTES, Record, prefix_key
from stages.core.runner import Runner
from stages.core.settings import RunnerSettings
from stages.sink.app import topics_of
from stages.sink.certificate import Known
from stages.sink.documents import Document
from stages.sink.settings import SinkSettings
from stages.sink.sqlite import SqliteStore
from stages.sink.stage import SinkStage, gather
from stages.sink.store import Batch, Collection, Filter, Store, Written
from tests.servers.mongo import MongoServer
from tests.servers.proxy import Proxy
from tests.sink.conftest import mongo_store
from tests.sink.material import T0, banner, certificate, hit, scan, snapshot, tls

#: Seconds until something that must happen is given up.
DEADLINE = 20.0


class Faulty:
    """A store whose next writes fail as ordered; what goes well goes to the store behind it."""

    name = "faulty"
    place = "nowhere"

    def __init__(self, store: Store) -> None:
        self.store = store
        self.opens: list[Exception] = []
        self.writes: list[Exception | Callable[[Batch], Exception | None]] = []
        self.sizes: list[int] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.closed = False

    async def open(self) -> None:
        if self.opens:
            raise self.opens.pop(0)
        await self.store.open()

    async def write(self, batch: Batch) -> Written:
        await self.gate.wait()
        self.sizes.append(len(batch.observations))
        if self.writes:
            order = self.writes[0]
            if isinstance(order, Exception):
                raise self.writes.pop(0)  # type: ignore[misc]
            error = order(batch)
            if error is not None:
                raise error
        return await self.store.write(batch)

    async def init(self, retention: float | None) -> list[str]:
        return []

    async def count(self, collection: Collection) -> int:
        return await self.store.count(collection)

    def find(self, collection: Collection, where: Filter) -> AsyncIterator[Document]:
        return self.store.find(collection, where)

    async def purge(self, before: int) -> int:
        return 0

    async def close(self) -> None:
        self.closed = True
        await self.store.close()


class Bench:
    """A stage, and jobs as the runner makes them."""

    def __init__(self, stage: SinkStage) -> None:
        self.stage = stage
        self.finished = asyncio.Event()
        self.desk = Desk(self.finished.set)

    def jobs(self, *records: Record) -> list[Job]:
        return [Job(self.stage.decode(r.dump()), self.desk, None, r.dump()) for r in records]  # type: ignore[arg-type]

    async def ended(self, jobs: Sequence[Job]) -> list[End]:
        async with asyncio.timeout(DEADLINE):
            while any(job.end is End.OPEN for job in jobs):
                self.finished.clear()
                self.desk.jobs.clear()
                await self.finished.wait()
        return [job.end for job in jobs]


@pytest.fixture
def faulty(tmp_path: Path) -> Faulty:
    return Faulty(SqliteStore(tmp_path / "x.db"))


async def _nap(_: float) -> None:
    await asyncio.sleep(0)


@pytest.fixture
async def bench(faulty: Faulty) -> AsyncIterator[Bench]:
    stage = SinkStage(faulty, SinkSettings(batch=4, batch_age=0.01), sleep=_nap)
    await stage.start()
    yield Bench(stage)
    await stage.close()
    assert faulty.closed


async def test_done_means_stored(bench: Bench, faulty: Faulty) -> None:
    faulty.gate.clear()
    jobs = bench.jobs(hit(), banner(), tls(ders=[certificate()]), scan())
    bench.stage.take(jobs)
    await asyncio.sleep(0)
    assert all(job.end is End.OPEN for job in jobs)
    faulty.gate.set()
    assert await bench.ended(jobs) == [End.DONE] * 4
    assert {c: len(d) for c, d in (await snapshot(faulty)).items()} == dict.fromkeys(Collection, 1)
    assert bench.stage.ready


async def test_batches_by_count_bytes_and_age(bench: Bench, faulty: Faulty) -> None:
    jobs = bench.jobs(*[hit(f"10.0.0.{i}") for i in range(9)])
    bench.stage.take(jobs)
    await bench.ended(jobs)
    assert sorted(faulty.sizes) == [1, 4, 4]
    faulty.sizes.clear()
    big = [banner(f"10.0.1.{i}", data=bytes(700_000)) for i in range(3)]
    stage = SinkStage(faulty, SinkSettings(batch=100, batch_bytes=1_500_000, batch_age=60.0))
    await stage.start()
    other = Bench(stage)
    jobs = other.jobs(*big)
    stage.take(jobs)
    await other.ended(jobs[:2])
    assert faulty.sizes == [2]
    assert jobs[2].end is End.OPEN  # it waits for company, a minute long
    stage.cancel()


async def test_no_more_writers_than_allowed(bench: Bench, faulty: Faulty) -> None:
    faulty.gate.clear()
    jobs = bench.jobs(*[hit(f"10.0.0.{i}") for i in range(40)])
    bench.stage.take(jobs)
    await asyncio.sleep(0.05)
    assert len(bench.stage._writes) == 2
    faulty.gate.set()
    assert set(await bench.ended(jobs)) == {End.DONE}
    assert bench.stage.capacity == 4 * 2 * 2


async def test_a_store_out_of_reach_is_tried_until_it_answers(
    bench: Bench, faulty: Faulty, caplog: pytest.LogCaptureFixture
) -> None:
    faulty.writes = [Unavailable("the database is away")] * 30
    jobs = bench.jobs(hit(), banner())
    bench.stage.take(jobs)
    assert await bench.ended(jobs) == [End.DONE] * 2
    assert caplog.text.count("the database is away") == 30
    assert "next try in 10.0 s" in caplog.text
    assert bench.stage.metrics.failures.value("unavailable") == 30
    assert bench.stage.metrics.reachable.value == 1


async def test_a_store_out_of_reach_at_start(faulty: Faulty) -> None:
    faulty.opens = [Unavailable("not yet")] * 3
    stage = SinkStage(faulty, SinkSettings(batch_age=0), sleep=_nap)
    await stage.start()
    assert not stage.ready
    bench = Bench(stage)
    jobs = bench.jobs(hit())
    stage.take(jobs)
    assert await bench.ended(jobs) == [End.DONE]
    assert stage.ready
    await stage.close()


async def test_what_is_wrong_for_good_at_start(faulty: Faulty) -> None:
    faulty.opens = [UsageError("--store", "x", "no")]
    with pytest.raises(UsageError):
        await SinkStage(faulty, SinkSettings()).start()


async def test_this_host_is_at_its_end(bench: Bench, faulty: Faulty) -> None:
    """A full disk: the runner tries again a bounded number of times, then stops and says why."""
    faulty.writes = [HostError("disk full")]
    jobs = bench.jobs(hit(), banner())
    bench.stage.take(jobs)
    assert await bench.ended(jobs) == [End.LOCAL] * 2
    assert jobs[0].detail == "disk full"
    assert not bench.stage.ready
    assert bench.stage.metrics.failures.value("host") == 1


async def test_a_mistake_of_ours_with_one_record_stops_no_other(bench: Bench, faulty: Faulty) -> None:
    def only_port_1(batch: Batch) -> Exception | None:
        return KeyError("bug") if any(o.port == 1 for o in batch.observations) else None

    faulty.writes = [only_port_1]
    jobs = bench.jobs(hit(), hit(port=1), banner(), scan())
    bench.stage.take(jobs)
    assert await bench.ended(jobs) == [End.DONE, End.DEAD, End.DONE, End.DONE]
    assert (jobs[1].word, jobs[1].detail) == (DeadReason.BUG, "KeyError('bug')")
    assert await faulty.count(Collection.HITS) == 1


async def test_what_the_store_refuses(bench: Bench, faulty: Faulty, monkeypatch: pytest.MonkeyPatch) -> None:
    good, bad = certificate("good.example"), certificate("bad.example")
    digest = sha256(bad).hexdigest()

    async def refuse(batch: Batch) -> Written:
        rejected = {o.id: "no" for o in batch.observations if o.port == 1} | {s.scan: "no scan" for s in batch.scans}
        return Written(rejected=rejected | {c.sha256: "no cert" for c in batch.certificates if c.sha256 == digest})

    monkeypatch.setattr(faulty, "write", refuse)
    jobs = bench.jobs(hit(), hit(port=1), scan(), tls(ders=[good, bad]))
    bench.stage.take(jobs)
    assert await bench.ended(jobs) == [End.DONE, End.DEAD, End.DEAD, End.DEAD]
    assert [job.detail for job in jobs[1:]] == ["no", "no scan", "no cert"]
    assert {job.word for job in jobs[1:]} == {DeadReason.REFUSED}
    assert bench.stage._known.fields(digest, bad) is not None
    assert bench.stage._known.fields(sha256(good).hexdigest(), good) is None


async def test_a_certificate_is_read_once_and_again_when_it_was_removed(faulty: Faulty) -> None:
    read: list[bytes] = []

    def reader(der: bytes) -> dict[str, Any]:
        read.append(der)
        return {"names": [], "parse_status": "success", "size": len(der)}

    stage = SinkStage(faulty, SinkSettings(batch=1), known=Known(10, reader))
    await stage.start()
    bench = Bench(stage)
    for i in range(3):
        jobs = bench.jobs(tls(f"10.0.0.{i}", T0 + i, [b"A"]))
        stage.take(jobs)
        await bench.ended(jobs)
    assert read == [b"A"]
    await faulty.store._file.write(lambda c: c.execute("DELETE FROM certificates"))  # type: ignore[attr-defined]
    jobs = bench.jobs(tls("10.0.0.9", T0 + 9, [b"A"]))
    stage.take(jobs)
    assert await bench.ended(jobs) == [End.DONE]
    assert read == [b"A", b"A"]
    assert await faulty.count(Collection.CERTIFICATES) == 1
    await stage.close()


async def test_cancel_drops_what_is_in_flight(bench: Bench, faulty: Faulty) -> None:
    faulty.gate.clear()
    jobs = bench.jobs(*[hit(f"10.0.0.{i}") for i in range(10)])
    bench.stage.take(jobs)
    await asyncio.sleep(0)
    bench.stage.cancel()
    await bench.stage.close()
    assert not bench.stage._writes
    assert {job.end for job in jobs} == {End.OPEN}


def test_gather_keeps_the_first_of_an_id_and_all_certificates() -> None:
    from stages.sink.documents import entry

    entries = [entry(tls(ders=[b"A"], ts=T0)), entry(tls(ders=[b"B"], ts=T0 + 1)), entry(tls(ders=[b"A"], ts=T0 + 2))]
    batch = gather(entries)
    assert [o.ts for o in batch.observations] == [T0]
    assert [(c.raw, c.first_seen, c.last_seen) for c in batch.certificates] == [
        (b"A", T0, T0 + 2),
        (b"B", T0 + 1, T0 + 1),
    ]


# --- over the runner


def _published(bus: MemoryBus, records: Sequence[Record], more: Sequence[bytes] = ()) -> Any:
    topics = Topics()
    names = {"hit": topics.hits, "banner": topics.banners, "tls": topics.tls, "scan": topics.scans}
    outputs = [
        Output(names[json.loads(line := r.dump())["kind"]], prefix_key(getattr(r, "ip", "10.0.0.0")), line)
        for r in records
    ]
    outputs += [Output(topics.hits, b"x", line) for line in more]
    return bus.publisher().publish(outputs)


def _some(n: int) -> list[Record]:
    made: list[Record] = [scan("start"), scan("end", T0 + 1000)]
    for i in range(n):
        ip = f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}"
        made += [hit(ip, T0 + i), banner(ip, T0 + i), tls(ip, T0 + i, [certificate()])]
    return made


def _drained(bus: MemoryBus) -> bool:
    return sum(bus.committed("sink").values()) == sum(len(bus.messages(topic)) for topic in topics_of(Topics()))


async def _run_until(stage: SinkStage, bus: MemoryBus, condition: Callable[[], bool]) -> Runner:
    runner = Runner(
        stage,
        bus.source(topics_of(Topics()), "sink"),
        bus.publisher(),
        settings=RunnerSettings(drain_deadline=2.0),
        capacity=stage.capacity,
    )
    running = asyncio.create_task(runner.run(), name="test run")
    async with asyncio.timeout(DEADLINE):
        while not condition() and not running.done():
            await asyncio.sleep(0.01)
    runner.stop()
    await running
    return runner


async def test_all_that_is_in_the_log_is_stored_and_bad_lines_go_to_the_dead(tmp_path: Path) -> None:
    bus = MemoryBus()
    bad = [b"{", b'{"kind":"hit","v":1}', b'"x' + b"x" * MAX_RECORD_BYTES + b'"', b"\xff\xfe"]
    dollar = hit("10.9.9.9", tcp={"$where": 1}).dump()
    await _published(bus, _some(50), [*bad, dollar])
    stage = SinkStage(SqliteStore(tmp_path / "x.db"), SinkSettings(batch=16, batch_age=0.01))
    runner = await _run_until(stage, bus, lambda: _drained(bus))
    assert runner.summary.dead == 5
    assert runner.summary.left == 0
    assert sorted(m.value for m in bus.messages(Topics().dead)) == sorted([*bad, dollar])
    reader = SqliteStore(tmp_path / "x.db", read_only=True)
    assert {c: len(d) for c, d in (await snapshot(reader)).items()} == {
        "services": 50,
        "hits": 50,
        "banners": 50,
        "tls": 50,
        "certificates": 1,
        "scans": 1,
    }


async def test_a_database_cut_off_in_the_middle_loses_and_doubles_nothing(mongo_server: MongoServer) -> None:
    bus = MemoryBus()
    await _published(bus, _some(100))
    direct = mongo_store(mongo_server)
    with Proxy("127.0.0.1", mongo_server.port) as proxy:
        store = type(direct)(f"mongodb://127.0.0.1:{proxy.port}", direct._database, timeout=0.5)

        stage = SinkStage(store, SinkSettings(batch=10, batch_age=0.01))
        cuts = iter((20, 120, 200))
        at = next(cuts)

        def over() -> bool:
            nonlocal at
            if stage.metrics.records.sum >= at:
                proxy.cut()
                asyncio.get_running_loop().call_later(0.3, proxy.mend)
                at = next(cuts, 10**9)
            return _drained(bus)

        runner = await _run_until(stage, bus, over)
    assert runner.summary.left == 0
    assert stage.metrics.failures.value("unavailable") >= 1
    await direct.open()
    try:
        everything = await snapshot(direct)
        assert {c: len(d) for c, d in everything.items()} == {
            "services": 100,
            "hits": 100,
            "banners": 100,
            "tls": 100,
            "certificates": 1,
            "scans": 1,
        }
        assert all({"hit", "banner", "tls"} <= service.keys() for service in everything["services"].values())
    finally:
        await direct.close()


async def test_stopped_while_the_database_is_away(mongo_server: MongoServer) -> None:
    """It leaves within its deadline, and what was not stored was not committed."""
    bus = MemoryBus()
    await _published(bus, _some(5))
    with Proxy("127.0.0.1", mongo_server.port) as proxy:
        proxy.cut()
        stage = SinkStage(mongo_store(mongo_server), SinkSettings(batch_age=0.01))
        stage.store._url = f"mongodb://127.0.0.1:{proxy.port}"  # type: ignore[attr-defined]
        stage.store._timeout = 0.3  # type: ignore[attr-defined]
        runner = await _run_until(stage, bus, lambda: stage.metrics.failures.value("unavailable") >= 1)
    assert not stage.ready
    assert runner.summary.left == 17
    assert bus.lag("sink") == 17


async def test_a_sink_without_records_is_ready_when_its_store_is(faulty: Faulty) -> None:
    faulty.opens = [Unavailable("not yet")] * 3
    stage = SinkStage(faulty, SinkSettings(), sleep=_nap)
    await stage.start()
    async with asyncio.timeout(10):
        while not stage.ready:
            await asyncio.sleep(0.001)
    assert not faulty.opens
    await stage.close()


async def test_a_sink_that_is_closed_tries_no_more(faulty: Faulty) -> None:
    faulty.opens = [Unavailable("not yet")] * 1_000_000
    stage = SinkStage(faulty, SinkSettings(), sleep=_nap)
    await stage.start()
    await stage.close()
    left = len(faulty.opens)
    await asyncio.sleep(0.01)
    assert len(faulty.opens) == left
