"""What is done to a measurement while it runs, and what must hold all the same. Each returns what was seen.

`make chaos` runs them at full length, the tests in tests/integration some of them at a shorter one.
"""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_network
from pathlib import Path
from statistics import fmean
from typing import Any

import orjson

from stages.core.records import Hit, parse
from stages.simnet.network import Simnet
from stages.sink.store import Collection
from tests.integration import plans
from tests.integration.fleet import Ground
from tests.integration.stored import assert_true, documents
from tests.integration.topics import Log
from tests.integration.workers import Crew, Worker, until
from tests.servers.kafka import KafkaServer
from tests.servers.mongo import MongoServer

#: Seconds from one kill to the next, at most, while one of five is killed; one process then lives for some four
#: seconds: enough to start and do something, or for half of that.
WITHIN = 1.6

#: The same where there is one process.
ALONE = 3.0

#: Probes per second: the scan takes about as long as the killing, as it sends for a part of that time only.
SLOWLY = 300

#: Seconds in which everything must be stored once nothing is done to it any more.
PATIENCE = 180


@dataclass
class Seen:
    """Numbers of an experiment, by name."""

    numbers: dict[str, float] = field(default_factory=dict)

    def add(self, other: Seen) -> None:
        """Sums, but of what ends in `_max`."""
        for name, number in other.numbers.items():
            before = self.numbers.get(name, 0)
            self.numbers[name] = max(before, number) if name.endswith("_max") else before + number


def resume(file: Path) -> tuple[str, str]:
    """The same words each time: begin, or go on."""
    return "--checkpoint", str(file)


def assert_told(net: Simnet, store: str) -> None:
    """The store knows one scan, from its start to its end, however often it was begun again."""
    (told,) = documents(net, store, Collection.SCANS)
    assert told.keys() >= {"start", "end"}, told
    assert told["end"]["position"] == targets(net)


def targets(net: Simnet) -> int:
    """Of a scan of all the town."""
    return sum(ip_network(network).num_addresses for network in net.spec.targets) * len(net.spec.ports)


def done_again(log: Log) -> int:
    """Conversations whose result stands in the log more than once."""
    ids: Counter[Any] = Counter()
    for topic in (log.topics.banners, log.topics.tls):
        for value, _ in log.read(topic):
            ids.update(orjson.loads(line)["id"] for line in value.splitlines())
    return ids.total() - len(ids)


@dataclass
class Pipeline:
    """All stages over Kafka and MongoDB, and a scan of the town."""

    town: Simnet
    log: Log
    store: str
    crew: Crew
    folder: Path
    workers: list[Worker] = field(default_factory=list)
    scan: Worker | None = None

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint"

    def start(self, *, rate: int, **how: Any) -> None:
        """All of it; `how`: what `plans.stages` is told besides."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.workers = plans.stages(self.crew, self.town, self.folder, self.log.words, self.store, **how)
        for worker in self.workers:
            worker.start()
        self.crew.all_ready(self.workers)
        words = (*plans.scan(self.town, rate=rate), *self.log.words)
        self.scan = self.crew.hire(Worker(self.town, self.folder, *words, name="scan"))
        self.scan.start(*resume(self.checkpoint))

    def kill(self, victim: Worker) -> bool:
        """Kill it and start it again. Whether it still ran."""
        ran = victim.running
        victim.kill()
        victim.start(*(resume(self.checkpoint) if victim is self.scan else ()))
        return ran

    def finish(self) -> Seen:
        """To its end; the store is the truth, nothing doubled, nothing dead."""
        assert self.scan is not None
        assert self.scan.wait(PATIENCE) == 0, self.scan.tail()
        began = time.monotonic()
        self.crew.all_ready(self.workers)
        until(self.log.drained, "everything is stored", PATIENCE)
        recovered = time.monotonic() - began
        for worker in self.workers:
            assert worker.stop() == 143, worker.tail()
        assert_true(self.town, self.store)
        assert_told(self.town, self.store)
        assert not self.log.read(self.log.topics.dead)
        return Seen({"done again": done_again(self.log), "seconds to the end_max": recovered})


def killed_over_kafka(pipeline: Pipeline, rnd: random.Random, kills: int) -> Seen:
    """SIGKILL, each of five processes `kills` times in one measurement, in random order, each started again at once."""
    pipeline.start(rate=SLOWLY, bannergrabs=2, member=True)
    scan = pipeline.scan
    assert scan is not None
    victims = [*pipeline.workers, scan] * kills
    rnd.shuffle(victims)
    cut = 0
    for victim in victims:
        time.sleep(rnd.uniform(0, WITHIN))
        ran = pipeline.kill(victim)
        cut += ran and victim is scan
    assert cut >= kills // 2, "the scan was over before it was killed"
    assert [worker.starts for worker in (*pipeline.workers, scan)] == [1 + kills] * 5
    seen = pipeline.finish()
    seen.numbers["kills"] = len(victims)
    return seen


def killed_over_sqlite(town: Simnet, crew: Crew, folder: Path, rnd: random.Random, kills: int) -> Seen:
    """SIGKILL, `kills` times at random moments of `longline run`, started again with the same words."""
    folder.mkdir(parents=True, exist_ok=True)
    store = f"sqlite:{folder}/town.db"
    run = crew.hire(Worker(town, folder, *plans.run(town, store, rate=700)))
    cut = 0
    for _ in range(kills):
        run.start()
        time.sleep(rnd.uniform(0.5, ALONE + 0.5))
        cut += run.running
        run.kill()
    assert cut >= kills // 2, "it was over before it was killed"
    began = time.monotonic()
    assert run.start().wait(PATIENCE) == 0, run.tail()
    assert_true(town, store)
    assert_told(town, store)
    return Seen({"kills": kills, "seconds to the end_max": time.monotonic() - began})


def coordinator_killed(town: Simnet, crew: Crew, folder: Path, rnd: random.Random, kills: int) -> Seen:
    """SIGKILL, `kills` times, of a coordinator, as soon as it is ready again. Of three agents one is killed at every
    third kill, and one is frozen from the beginning, and returns with a lease that is somebody else's."""
    ground = Ground(town, crew, folder)
    rate = max(5, round(targets(town) / (3 * kills)))  # as long as the killing lasts, and some more
    agents = [ground.agent(f"agent{n}", rate=rate) for n in range(3)]
    ground.submit()
    until(lambda: ground.scan()["done"], "the scan has begun")
    frozen = agents[2]
    frozen.send(signal.SIGSTOP)
    for kill in range(kills):
        assert ground.scan()["state"] == "under way", f"it was over at the {kill}th kill"
        ground.coordinator.kill()
        ground.coordinator.start()
        until(lambda: ground.coordinator.ready, "the coordinator is ready")
        if kill % 3 == 1:
            agent = agents[rnd.randrange(2)]
            agent.kill()
            agent.start()
    until(lambda: any(line["event"] == "lost" for line in ground.trace()), "a slice was lost")
    frozen.send(signal.SIGCONT)
    began = time.monotonic()
    seen = ground.complete(PATIENCE)
    assert seen["done"] == seen["targets"]
    ground.assert_true()
    ground.end(agents)
    numbers = {"kills": kills, "positions twice": seen["twice"], "seconds to the end_max": time.monotonic() - began}
    return Seen(numbers)


def broker_killed(pipeline: Pipeline, broker: KafkaServer, rnd: random.Random, times: int) -> Seen:
    """The broker is killed and started again, `times` times in one measurement."""
    pipeline.start(rate=SLOWLY)
    longest = 0.0
    for _ in range(times):
        time.sleep(rnd.uniform(0.5, 3.0))
        broker.restart(signal.SIGKILL)
        began = time.monotonic()
        pipeline.crew.all_ready(pipeline.workers)
        longest = max(longest, time.monotonic() - began)
    seen = pipeline.finish()
    seen.numbers |= {"kills": times, "seconds until ready again_max": longest}
    assert all(worker.starts == 1 for worker in pipeline.workers)
    return seen


def workers_come_and_go(pipeline: Pipeline, rnd: random.Random, seconds: float, every: float = 10.0) -> Seen:
    """A worker of the group joins or leaves every so many seconds, half of them by SIGKILL."""
    pipeline.start(rate=max(10, int(targets(pipeline.town) / seconds)))
    first = pipeline.workers[1]
    others: list[Worker] = []
    changes, began = 0, time.monotonic()
    while time.monotonic() - began < seconds:
        if len(others) < 3 and (not others or rnd.random() < 0.5):
            name = f"more{changes}"
            more = Worker(pipeline.town, pipeline.folder, "bannergrab", *plans.BANNERS, *pipeline.log.words, name=name)
            others.append(pipeline.crew.hire(more).start())
        else:
            gone = others.pop(rnd.randrange(len(others)))
            if rnd.random() < 0.5:
                gone.kill()
            else:
                assert gone.stop() == 143, gone.tail()
        changes += 1
        time.sleep(every)
    for worker in others:
        assert worker.stop() == 143, worker.tail()
    assert first.running
    seen = pipeline.finish()
    seen.numbers["changes of the group"] = changes
    return seen


def database_stopped(pipeline: Pipeline, database: MongoServer, rnd: random.Random, times: int) -> Seen:
    """The database is stopped, and started again some seconds later, `times` times in one measurement."""
    pipeline.start(rate=SLOWLY, env={"LONGLINE_SINK_TIMEOUT": "3"})
    longest = 0.0
    for _ in range(times):
        time.sleep(rnd.uniform(0.5, 3.0))
        database.stop()
        time.sleep(rnd.uniform(0.5, 3.0))
        database.start()
        began = time.monotonic()
        pipeline.crew.all_ready(pipeline.workers)
        longest = max(longest, time.monotonic() - began)
    seen = pipeline.finish()
    seen.numbers |= {"stops": times, "seconds until ready again_max": longest}
    return seen


def mutated(line: bytes, rnd: random.Random) -> bytes:
    """A record with something broken in it: a byte changed, a piece cut out, doubled or put elsewhere."""
    at, size = rnd.randrange(len(line)), rnd.randrange(1, 20)
    match rnd.randrange(4):
        case 0:
            return line[:at] + bytes([rnd.randrange(256)]) + line[at + 1 :]
        case 1:
            return line[:at] + line[at + size :]
        case 2:
            return line[:at] + line[at : at + size] * 2 + line[at + size :]
        case _:
            other = rnd.randrange(len(line))
            return line[:at] + line[other : other + size] + line[at:]


def poisoned(
    pipeline: Pipeline,
    rnd: random.Random,
    number: int,
    readable: Callable[[bytes], bool],
    samples: Sequence[tuple[str, bytes]],
) -> Seen:
    """`number` mutated records into each topic, two good ones beside each so that no fuse blows: what is no record any
    more is in the dead letters of each reader, with a reason, and the stages live. `samples`: (topic, a record that
    stands there)."""
    t = pipeline.log.topics
    pipeline.start(rate=SLOWLY, env={"LONGLINE_BANNERGRAB_PORTS": "22,80", "LONGLINE_TLSGRAB_PORTS": "443"})
    readers = {t.hits: ("bannergrab", "tlsgrab", "sink"), t.banners: ("sink",), t.tls: ("sink",), t.scans: ("sink",)}
    wanted: Counter[tuple[str, str, bytes]] = Counter()
    for topic, line in samples:
        lines: list[bytes] = []
        for _ in range(number):
            bad = mutated(line, rnd).replace(b"\n", b" ").replace(b"\r", b" ").strip()
            lines += [line, bad, line]
            if bad and not readable(bad):
                wanted.update((topic, reader, bad) for reader in readers[topic])
        pipeline.log.put(topic, lines, PATIENCE)
    assert pipeline.scan is not None
    assert pipeline.scan.wait(PATIENCE) == 0, pipeline.scan.tail()
    until(pipeline.log.drained, "everything is worked off", 20 * PATIENCE)
    told: Counter[tuple[str, str, bytes]] = Counter()
    others = 0
    for value, headers in pipeline.log.read(t.dead, PATIENCE):
        assert headers["reason"]
        assert headers["error"]
        letter = (headers["topic"].decode(), headers["stage"].decode(), value)
        if letter in wanted:
            told[letter] += 1
        else:
            others += 1  # a record, and none that this stage can use
    assert told == wanted, f"{(wanted - told).total()} are missing, {(told - wanted).total()} are there too often"
    for worker in pipeline.workers:
        assert worker.running, worker.tail()
        assert worker.stop() == 143, worker.tail()
        assert worker.starts == 1
    return Seen({"mutated records": number * len(samples), "dead letters": told.total() + others})


def slope(samples: Sequence[tuple[float, float]]) -> float:
    """Of the straight line nearest to (time, value), per hour."""
    times, values = [at for at, _ in samples], [value for _, value in samples]
    middle_t, middle_v = fmean(times), fmean(values)
    spread = sum((t - middle_t) ** 2 for t in times)
    return 3_600 * sum((t - middle_t) * (v - middle_v) for t, v in zip(times, values, strict=True)) / spread


def soak(pipeline: Pipeline, seconds: float, share: float = 0.5) -> Seen:
    """Hits of a scan again and again, each time of another scan, at a `share` of the rate at which the grabs work them
    off: memory, descriptors and lag stay as they are once warm (their slopes are over the last three quarters)."""
    pipeline.start(rate=5_000)
    assert pipeline.scan is not None
    assert pipeline.scan.wait(PATIENCE) == 0, pipeline.scan.tail()
    log, hits = pipeline.log, pipeline.log.topics.hits
    until(log.drained, "the first scan is stored", PATIENCE)
    found = [parse(line) for value, _ in log.read(hits) for line in value.splitlines()]
    assert all(isinstance(hit, Hit) for hit in found)

    def put(number: int) -> None:
        log.put(hits, (replace(hit, scan=f"soak{number}", id="").dump() for hit in found))

    began = time.monotonic()
    for number in range(10):
        put(number)
    until(log.drained, "the rate is known", PATIENCE)
    top = 10 * len(found) / (time.monotonic() - began)
    each = len(found) / (share * top)  # seconds
    names = {"MB": "process_resident_memory_bytes", "descriptors": "process_open_fds"}
    samples: dict[tuple[str, str], list[tuple[float, float]]] = {}
    lags: list[tuple[float, float]] = []
    began, number = time.monotonic(), 10
    while (now := time.monotonic() - began) < seconds:
        put(number)
        for worker in pipeline.workers:
            for name, metric in names.items():
                value = worker.metric(metric) / (2**20 if name == "MB" else 1)
                samples.setdefault((worker.name, name), []).append((now, value))
        lags.append((now, log.behind("bannergrab", [hits]) + log.behind("tlsgrab", [hits])))
        number += 1
        time.sleep(max(0.0, began + (number - 10) * each - time.monotonic()))
    until(log.drained, "everything is stored", PATIENCE)
    warm = [sample for sample in lags if sample[0] > seconds / 4]
    seen = Seen({"hits a second at the top": top, "hits": number * len(found), "behind_max": max(v for _, v in warm)})
    seen.numbers["behind, an hour"] = slope(warm)
    for (worker_name, name), values in samples.items():
        seen.numbers[f"{worker_name} {name} an hour"] = slope([v for v in values if v[0] > seconds / 4])
        seen.numbers[f"{worker_name} {name}"] = values[-1][1]
    for worker in pipeline.workers:
        assert worker.stop() == 143, worker.tail()
        assert worker.starts == 1
    return seen
