"""`longline demo`: the whole pipeline against a simulated Internet, and what it found against the truth.

As root, or in a user namespace, the Internet is a network namespace with tens of thousands of addresses; where both
are closed, it is loopback, scanned by ordinary connections. The scan runs as a user would type it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stages.simnet.compare import Difference, Found
    from stages.simnet.network import Simnet

#: Of the directory that the database stands in, unless it is kept.
PREFIX = "longline-demo-"

#: Packets per second: fast enough for a demonstration, and far below what any machine can send.
DEFAULT_RATE = 40_000

#: Seconds for a connection: the queue of a busy server, not a network, is what takes long here.
PATIENCE = "30"

#: After this long nothing is under way any more: the simulated Internet has no longer delay.
COOLDOWN = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", type=int, default=1, help="of the simulated Internet (default: 1)")
    parser.add_argument("--rate", type=int, default=DEFAULT_RATE, help=f"packets per second (default: {DEFAULT_RATE})")
    parser.add_argument("--keep", metavar="FILE", help="keep the database there; default: it is removed")
    parser.add_argument("--loopback", action="store_true", help="use loopback although namespaces could be had")
    parser.add_argument("--view", action=argparse.BooleanOptionalAction, help="live view (default: on a terminal)")


def run(args: argparse.Namespace) -> int:
    from stages.core.errors import UsageError
    from stages.simnet.network import NamespacesClosed, Simnet, SimnetError
    from stages.simnet.spec import Spec

    if args.keep and Path(args.keep).exists():
        raise UsageError("--keep", args.keep, "exists")
    spec = Spec(seed=args.seed)
    say("building the simulated Internet")
    try:
        try:
            net = Simnet(spec.on_loopback() if args.loopback else spec).start()
        except NamespacesClosed as error:
            say(f"no namespaces here ({error}): loopback shows a smaller one")
            net = Simnet(spec.on_loopback()).start()
    except SimnetError as error:
        way = "" if args.loopback else "; --loopback needs neither a namespace nor nft"
        sys.stderr.write(f"longline demo: {error}{way}\n")
        return 1
    _sweep()
    with net, tempfile.TemporaryDirectory(prefix=f"{PREFIX}{os.getpid()}-") as directory:
        file = args.keep or str(Path(directory) / "demo.db")
        try:
            return _measure(net, file, args.rate, args.view)
        except KeyboardInterrupt:
            say("stopped")
            return 130


def _sweep() -> None:
    """Remove what a demo left that was killed with SIGKILL: its directory names its process."""
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*-*"):
        pid = path.name.removeprefix(PREFIX).partition("-")[0]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists():
            shutil.rmtree(path, ignore_errors=True)


def say(text: str) -> None:
    sys.stderr.write(f"demo: {text}\n")
    sys.stderr.flush()


def command(net: Simnet, file: str, rate: int, view: bool | None) -> list[str]:
    """What a user would type to scan this network."""
    spec = net.spec
    loopback = spec.mode == "loopback"
    words = ["run", *spec.targets, "-p", ",".join(map(str, spec.ports)), "--store", f"sqlite:{file}"]
    words += ["--rate", str(rate), "--cooldown-time", str(COOLDOWN), "--seed", "1"]
    words += ["--engine", "connect" if loopback else "packet"]
    words += ["--banner-wait", "1", "--banner-data", "http-req", "--per-host", "4", "--per-prefix", "0"]
    # One process plays all servers of this Internet, beside us on the same machine: it is met with patience, so that
    # what is slow is not told as what is not there.
    words += ["--banner-conn-timeout", PATIENCE, "--banner-conn-timeout-min", PATIENCE, "--banner-read-timeout", "6"]
    words += ["--tls-conn-timeout", PATIENCE, "--tls-conn-timeout-min", PATIENCE, "--tls-concurrent", "100"]
    tls = sorted(set(spec.ports) & set(spec.tls_ports))
    words += ["--tls-ports", ",".join(map(str, tls))]
    words += ["--banner-ports", ",".join(str(port) for port in spec.ports if port not in tls)]
    return words + ([] if view is None else ["--view" if view else "--no-view"])


def _measure(net: Simnet, file: str, rate: int, view: bool | None) -> int:
    from stages.simnet.compare import compare

    spec, truth = net.spec, net.truth
    words = command(net, file, rate, view)
    expected = list(net.expected())
    say(f"{', '.join(spec.targets)} on ports {', '.join(map(str, spec.ports))}: {len(expected)} services stand there")
    say(f"longline {' '.join(words)}")
    started = time.monotonic()
    code = net.run([sys.executable, "-m", "stages.cli.main", *words]).wait()
    seconds = time.monotonic() - started
    if code:
        say(f"the run ended with exit code {code}")
        return code if code > 0 else 1
    found = asyncio.run(read(file))
    difference = compare(expected, found)
    sys.stdout.write(report(truth, found, difference, seconds))
    return 1 if difference else 0


async def read(file: str) -> list[Found]:
    """Every service that the store has, with what was grabbed of it."""
    from stages.core.settings import StoreSettings
    from stages.simnet.compare import Found
    from stages.sink.app import open_store
    from stages.sink.settings import SinkSettings
    from stages.sink.store import Collection, Filter

    store = open_store(StoreSettings(url=f"sqlite:{file}"), SinkSettings(), read_only=True)
    await store.open()
    try:
        grabbed: dict[tuple[str, int], dict[str, Any]] = {}
        async for document in store.find(Collection.BANNERS, Filter()):
            key = document["ip"], document["port"]
            grabbed[key] = {"outcome": document["outcome"], "data": document.get("data", b"")}
        async for document in store.find(Collection.TLS, Filter()):
            key = document["ip"], document["port"]
            grabbed[key] = {
                "outcome": document["outcome"],
                "chain": tuple(document.get("chain", ())),
                "version": document.get("version"),
            }
        return [
            Found(document["ip"], document["port"], **grabbed.get((document["ip"], document["port"]), {}))
            async for document in store.find(Collection.HITS, Filter())
        ]
    finally:
        await store.close()


def report(truth: Any, found: list[Found], difference: Difference, seconds: float) -> str:
    """What a person reads at the end."""
    targets = len(truth.addresses()) * len(truth.ports)
    lines = ["", f"{targets:,} targets in {seconds:.1f} s: {len(found):,} open", ""]
    ports = Counter((one.port, one.outcome or "-") for one in found)
    width = max((len(outcome) for _, outcome in ports), default=0)
    for (port, outcome), count in sorted(ports.items()):
        lines.append(f"  port {port:<6} {outcome:<{width}} {count:>7,}")
    certificates = {hash_ for one in found for hash_ in one.chain or ()}
    lines += ["", f"  {len(certificates)} different certificates", ""]
    lines += difference.lines()
    verdict = "as it is" if not difference else "NOT as it is"
    lines.append(
        f"compared with the truth: {verdict}; {difference.right:,} right, {len(difference.missing):,} missing, "
        f"{len(difference.invented):,} invented, {len(difference.wrong):,} wrong"
    )
    return "\n".join(lines) + "\n"
