"""What a user types to measure the town: the words of each stage, the same over every kind of log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from stages.simnet.network import Simnet
from tests.integration.workers import Crew, Worker

#: A conversation: hear the server first, then speak HTTP. All of the town may be met as fast as it goes.
BANNERS = ("-d", "http-req", "--wait", "1", "--per-host", "4", "--per-prefix", "0")
TLS = ("--per-host", "4", "--per-prefix", "0")

#: After this long nothing is under way in the town any more.
COOLDOWN = 2


def prepare(net: Simnet, folder: Path, store: str) -> None:
    """What a store needs before anything is stored."""
    init = Worker(net, folder, "sink", "--init", "--store", store, name="init", metrics=False)
    assert init.start().wait() == 0, init.tail()


def targets(net: Simnet) -> list[str]:
    return [*net.spec.targets, "-p", ",".join(map(str, net.spec.ports))]


def scan(net: Simnet, *, rate: int, engine: str = "packet") -> list[str]:
    """`longline scan` of all the town, without where its hits go."""
    words = ["scan", *targets(net), "-r", str(rate), "-c", str(COOLDOWN), "-e", "1", "--scan", "town"]
    return [*words, "--engine", engine]


def stages(
    crew: Crew,
    net: Simnet,
    folder: Path,
    bus: Sequence[str],
    store: str,
    *,
    bannergrabs: int = 1,
    member: bool = False,
    env: Mapping[str, str] | None = None,
) -> list[Worker]:
    """The sink, bannergrabs and a tlsgrab over one log, hired and not started."""

    def hire(name: str, *words: str) -> Worker:
        static = ("--member", name) if member else ()
        return crew.hire(Worker(net, folder, *words, *bus, *static, name=name, env=env))

    return [
        hire("sink", "sink", "--store", store),
        *[hire(f"bannergrab{n + 1}", "bannergrab", *BANNERS) for n in range(bannergrabs)],
        hire("tlsgrab", "tlsgrab", *TLS),
    ]


def run(net: Simnet, store: str, *, rate: int) -> list[str]:
    """`longline run` of all the town. Its grabs share the ports between them as the usual TLS ports are set."""
    words = ["run", *targets(net), "-r", str(rate), "-c", str(COOLDOWN), "-e", "1", "--store", store]
    return [*words, "--banner-data", "http-req", "--banner-wait", "1", "--per-host", "4", "--per-prefix", "0"]
