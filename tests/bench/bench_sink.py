"""How fast the sink stores: `python -m tests.bench.bench_sink [sqlite|mongo] [services] [records]`.

    sqlite  a store that holds SERVICES services and two observations of each; further sweeps, RECORDS hits and banners
            of random ones of them, go through the stage (decode, batch, write, acknowledge), synchronous=FULL
    mongo   the stage into the MongoDB wire server by motor, beside PyMongo's own bulk_write of the very same inserts
            and upserts, made before the clock runs, into the same server in the same run, by turns

A record makes two documents: its observation is inserted, and its service upserted. Both figures are printed; the bar
for SQLite counts documents, as the stage's own counter does. Two updates of one service in one batch (hit and banner)
are two documents and one row of a statement. The collector is calmed as in the program. Values are minimum, median and
maximum of the rounds.
"""

from __future__ import annotations

import asyncio
import os
import random
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pymongo
from bson.datetime_ms import DatetimeMS

from stages.core.job import Desk, Job
from stages.core.lifecycle import calm_collector
from stages.core.outcome import Outcome, Phase
from stages.core.records import Banner, Hit, parse
from stages.sink.documents import entry, fold_services
from stages.sink.mongo import MongoStore, _of_service
from stages.sink.settings import SinkSettings
from stages.sink.sqlite import SqliteStore
from stages.sink.stage import SinkStage, gather
from tests.servers.mongo import MongoServer, jars

SERVICES = 1_000_000
#: 100,000 a round: a dozen batches, so that filling and draining the stage are a small part of what is timed.
RECORDS = 500_000
MONGO_RECORDS = 16_000
ROUNDS = 5
MONGO_ROUNDS = 4
BAR_DOCUMENTS, BAR_MONGO = 30_000, 0.7
T0 = 1_795_244_400_000_000
#: What the runner decodes at once (stages.core.runner.POLL_RECORDS).
POLL = 2_000
#: Services of one batch while the store is filled; not measured.
FILL = 16_384
#: Hits between a hit and its banner.
BEHIND = 1_000


def ip(k: int) -> str:
    return f"10.{k >> 16 & 255}.{k >> 8 & 255}.{k & 255}"


def hit(k: int, scan: str, ts: int) -> Hit:
    tcp = {"seq": k, "ack": 1, "window": 64240, "mss": 1460, "wscale": 7, "sack": True, "ts_val": 7, "ts_ecr": 9}
    return Hit(scan, ts, ip(k), 443, ttl=57, rtt=0.012, source={"ip": "10.200.0.1", "port": 40000}, tcp=tcp)


def banner(k: int, scan: str, ts: int) -> Banner:
    data = b"HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Length: %d\r\n\r\n" % k + b"x" * 80
    return Banner(
        scan, ts, ip(k), 443, Outcome.OK, Phase.READ,
        probe="send", hit="a" * 32, connect=0.01, first_byte=0.02, ended=0.03, sent=40, data=data,
    )  # fmt: skip


def sweep(keys: list[int], scan: str, t0: int) -> Iterator[Hit | Banner]:
    """A hit of each, and its banner when BEHIND others have been hit."""
    for i in range(len(keys) + BEHIND):
        if i < len(keys):
            yield hit(keys[i], scan, t0 + i)
        if i >= BEHIND:
            yield banner(keys[i - BEHIND], scan, t0 + i)


async def drive(stage: SinkStage, lines: list[bytes]) -> None:
    """What the runner does for the stage, without a log."""
    changed = asyncio.Event()
    desk = Desk(changed.set)
    flying = place = 0
    while True:
        flying -= len(desk.jobs)
        desk.jobs.clear()
        if place < len(lines) and stage.capacity - flying >= POLL:
            part = lines[place : place + POLL]
            place += len(part)
            flying += len(part)
            stage.take([Job(stage.decode(line), desk, None, line) for line in part])  # type: ignore[arg-type]
            await asyncio.sleep(0)
        elif flying:
            changed.clear()
            await changed.wait()
        else:
            return


def figures(name: str, values: list[float], unit: str) -> None:
    low, middle, high = min(values), statistics.median(values), max(values)
    print(f"{name:44} min {low:10,.2f}  median {middle:10,.2f}  max {high:10,.2f} {unit}", flush=True)


def cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def sqlite(services: int, records: int) -> bool:
    rng = random.Random(1)
    with tempfile.TemporaryDirectory() as folder:
        store = SqliteStore(Path(folder) / "bench.db")
        await store.open()
        keys = list(range(services))
        rng.shuffle(keys)
        for start in range(0, services, FILL):
            part = keys[start : start + FILL]
            both = [entry(make(k, "fill", T0 + k)) for k in part for make in (hit, banner)]
            await store.write(gather(both))
        print(f"{services:,} services, file {store.path.stat().st_size >> 20} MiB", flush=True)
        rates, documents, spent = [], [], []
        for number in range(ROUNDS):
            again = rng.sample(range(services), records // ROUNDS // 2)
            # As a log hands them out: bytes of their own size. What orjson returns holds 8 KiB of memory a line.
            sent = sweep(again, f"sweep{number}", T0 + (number + 1) * 10**9)
            lines = [bytes(memoryview(record.dump())) for record in sent]
            stage = SinkStage(SqliteStore(store.path), SinkSettings())
            await stage.start()
            began, used = time.perf_counter(), cpu()
            await drive(stage, lines)
            took, used = time.perf_counter() - began, cpu() - used
            rates.append(len(lines) / took)
            documents.append(sum(stage.metrics.documents.cells.values()) / took)
            spent.append(used / len(lines) * 1e6)
            await stage.close()
        await store.close()
    figures("sqlite: records", rates, "/s")
    figures("sqlite: documents (observation + service)", documents, "/s")
    figures("sqlite: CPU a record", spent, "us")
    return statistics.median(documents) >= BAR_DOCUMENTS


async def mongo(records: int) -> bool:
    if jars() is None:
        print("mongo: not run: needs Java, and Maven to fetch the jars")
        return False
    lines = [r.dump() for r in sweep(random.Random(2).sample(range(records), records // 2), "sweep", T0)]
    settings = SinkSettings()
    ours, raw, ratios = [], [], []
    databases = count()
    with MongoServer() as server:

        def drop(database: str) -> None:  # a server with a full heap is slow for whoever comes next
            with pymongo.MongoClient(server.url) as client:
                client.drop_database(database)

        async def stage_into(database: str) -> float:
            store = MongoStore(server.url, database)
            await store.init(None)
            stage = SinkStage(store, settings)
            await stage.start()
            began = time.perf_counter()
            await drive(stage, lines)
            took = time.perf_counter() - began
            await stage.close()
            drop(database)
            return len(lines) / took

        async def raw_into(database: str) -> float:
            store = MongoStore(server.url, database)
            await store.init(None)
            await store.close()
            parts = []
            for start in range(0, len(lines), settings.batch):
                batch = gather([entry(parse(line), len(line)) for line in lines[start : start + settings.batch]])
                inserts = [
                    pymongo.InsertOne({**o.document(), "date": DatetimeMS(o.ts // 1000)}) for o in batch.observations
                ]
                upserts = [_of_service(u).operation for u in fold_services(batch.observations)]
                parts.append((inserts, upserts))
            with pymongo.MongoClient(server.url, w="majority") as client:
                client.admin.command("ping")
                target = client[database]
                began = time.perf_counter()
                for inserts, upserts in parts:
                    target["observations"].bulk_write(inserts, ordered=False)
                    target["services"].bulk_write(upserts, ordered=False)
                took = time.perf_counter() - began
            drop(database)
            return len(lines) / took

        await stage_into("warm0")  # the server's JIT
        await raw_into("warm1")
        for number in range(MONGO_ROUNDS):
            for run, rates in ((raw_into, raw), (stage_into, ours))[:: 1 if number % 2 else -1]:
                rates.append(await run(f"b{next(databases)}"))
            ratios.append(ours[-1] / raw[-1])
            print(f"round: {ours[-1]:,.0f}/s beside {raw[-1]:,.0f}/s", flush=True)
    figures("mongo: records, sink stage by motor", ours, "/s")
    figures("mongo: records, PyMongo bulk_write alone", raw, "/s")
    figures("mongo: ratio", ratios, "")
    return statistics.median(ratios) >= BAR_MONGO


async def main(which: str = "all", services: str = str(SERVICES), records: str = str(RECORDS)) -> int:
    good = True
    if which in ("all", "sqlite"):
        good &= await sqlite(int(services), int(records))
    if which in ("all", "mongo"):
        good &= await mongo(MONGO_RECORDS)
    print("above the bars" if good else "BELOW A BAR")
    return 0 if good else 1


if __name__ == "__main__":
    os.environ["LONGLINE_CONFINE"] = "1"
    calm_collector()
    sys.exit(asyncio.run(main(*sys.argv[1:])))
