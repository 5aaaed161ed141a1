"""`make chaos`: experiments at full length, one after the other; what was seen as a table (docs/reliability.md).

python -m tests.chaos [NAME ...]        some of them
CHAOS=0.1 python -m tests.chaos         a tenth of each
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Final

from stages.simnet.network import Simnet
from tests.chaos import experiments as ex
from tests.chaos.samples import readable, samples
from tests.integration.conftest import TOWN, build
from tests.integration.topics import Log
from tests.integration.workers import Crew
from tests.servers.kafka import KafkaServer
from tests.servers.mongo import MongoServer

#: Measurements under fire at the same time: each has five processes, and the machine two cores.
ABREAST: Final = 2

#: Grabs wait longer for a connection than a kernel takes to send its SYN three times: the machine is so busy with dying
#: and starting processes that the town's servers come to their queues late, and a SYN that finds one full is dropped.
PATIENT: Final = {
    f"LONGLINE_{stage}_{key}": "30"
    for stage in ("BANNERGRAB", "TLSGRAB")
    for key in ("CONN_TIMEOUT", "CONN_TIMEOUT_MIN")
}

#: The part of the full length that is asked for.
SHARE: Final = float(os.environ.get("CHAOS", "1"))


#: What the processes of each experiment said.
LOGS: Final = Path(__file__).resolve().parents[2] / ".cache" / "chaos"


def times(full: int) -> int:
    return max(1, round(full * SHARE))


class Ground:
    """The town, a broker and a database in it."""

    def __init__(self, town: Simnet, kafka: KafkaServer, mongo: MongoServer, folder: Path) -> None:
        self.town, self.kafka, self.mongo, self.folder = town, kafka, mongo, folder

    def pipeline(self, name: str, crew: Crew) -> ex.Pipeline:
        log = Log(self.town, self.kafka, name)
        return ex.Pipeline(self.town, log, f"{self.mongo.url}/{name}", crew, self.folder / name)

    @contextmanager
    def on_disk(self, name: str, crew: Crew) -> Iterator[tuple[ex.Pipeline, MongoServer]]:
        """A pipeline whose database is a file of its own."""
        with MongoServer(self.folder / f"{name}.h2", self.town.joiner()) as server:
            pipeline = self.pipeline(name, crew)
            pipeline.store = f"{server.url}/{name}"
            yield pipeline, server

    def abreast(self, rounds: int, work: Callable[[int], ex.Seen]) -> ex.Seen:
        """Many rounds, some at a time; the first failure ends it."""
        seen = ex.Seen()
        with ThreadPoolExecutor(ABREAST) as pool:
            for one in pool.map(work, range(rounds)):
                seen.add(one)
        return seen


def kills_kafka(ground: Ground) -> ex.Seen:
    def work(number: int) -> ex.Seen:
        with Crew() as crew:
            pipeline = ground.pipeline(f"kills{number}", crew)
            return ex.killed_over_kafka(pipeline, random.Random(number), 20)

    return ground.abreast(times(10), work)


def kills_sqlite(ground: Ground) -> ex.Seen:
    def work(number: int) -> ex.Seen:
        with Crew() as crew:
            folder = ground.folder / f"file{number}"
            return ex.killed_over_sqlite(ground.town, crew, folder, random.Random(number), 20)

    return ground.abreast(times(50), work)


def coordinator(ground: Ground) -> ex.Seen:
    with Crew() as crew:
        return ex.coordinator_killed(ground.town, crew, ground.folder / "fleet", random.Random(5), times(100))


def broker(ground: Ground) -> ex.Seen:
    with Crew() as crew:
        return ex.broker_killed(ground.pipeline("broker", crew), ground.kafka, random.Random(1), times(20))


def group(ground: Ground) -> ex.Seen:
    with Crew() as crew:
        return ex.workers_come_and_go(ground.pipeline("group", crew), random.Random(2), 600 * SHARE)


def database(ground: Ground) -> ex.Seen:
    with Crew() as crew, ground.on_disk("database", crew) as (pipeline, server):
        return ex.database_stopped(pipeline, server, random.Random(3), times(20))


def poison(ground: Ground) -> ex.Seen:
    with Crew() as crew:
        pipeline = ground.pipeline("poison", crew)
        number = times(100_000)
        return ex.poisoned(pipeline, random.Random(4), number, readable, samples(pipeline.log.topics))


def soak(ground: Ground) -> ex.Seen:
    with Crew() as crew, ground.on_disk("soak", crew) as (pipeline, _):  # what an hour stores has no room in a heap
        return ex.soak(pipeline, 3_600 * SHARE)


EXPERIMENTS: Final[dict[str, Callable[[Ground], ex.Seen]]] = {
    "kills_kafka": kills_kafka,
    "kills_sqlite": kills_sqlite,
    "coordinator": coordinator,
    "broker": broker,
    "group": group,
    "database": database,
    "poison": poison,
    "soak": soak,
}


def main(names: list[str]) -> int:
    unknown = set(names) - set(EXPERIMENTS)
    if unknown:
        print(f"no such experiment: {', '.join(sorted(unknown))}; there are {', '.join(EXPERIMENTS)}", file=sys.stderr)
        return 2
    os.environ.update(PATIENT)
    failed = 0
    LOGS.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="longline-chaos-") as folder, build(TOWN) as town:
        place = Path(folder)
        with KafkaServer(place / "kafka", town.joiner()) as kafka, MongoServer(join=town.joiner()) as mongo:
            ground = Ground(town, kafka, mongo, place)
            for name in names or EXPERIMENTS:
                began = time.monotonic()
                try:
                    with (LOGS / f"{name}.log").open("w") as log, redirect_stdout(log):
                        seen = EXPERIMENTS[name](ground)
                except AssertionError as error:
                    failed += 1
                    print(f"| {name} | FAILED: {str(error)[:2000]} |", flush=True)
                    continue
                told = ", ".join(f"{key.removesuffix('_max')} {value:g}" for key, value in seen.numbers.items())
                print(f"| {name} | {told} | {time.monotonic() - began:.0f} s |", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    os.environ["LONGLINE_CONFINE"] = "1"
    sys.exit(main(sys.argv[1:]))
