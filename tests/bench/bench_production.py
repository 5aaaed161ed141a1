"""What production costs: `python -m tests.bench.bench_production`.

One nginx on the loopback answers for 20,000 addresses. `longline bannergrab` reads them from standard input and writes
what came to a file, 500 connections at once, no limit on a prefix, in four ways that take turns: as it is; in its
container (podman, the host's network, a read-only root, no capability); with its metrics served and scraped each second
(fifteen times as often as Prometheus comes by); and as two workers with half of the targets each. Banners a second by
the clock, less the time of the same command without a target; CPU of the whole process where no container hides it.
nginx shares the two cores, so two workers show what is left of them. Exit code 1 when a bar is missed.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from tests.bench.bench_banner import CONCURRENT, REQUEST, TARGETS, cpu
from tests.bench.rows import measured
from tests.servers import images
from tests.servers.kafka import free_port
from tests.servers.webserver import webserver
from tests.servers.zgrab2 import ROOT

ROUNDS: Final = 5
CONTAINER_BAR: Final = 0.95
METRICS_BAR: Final = 1.01
SCRAPE_SECONDS: Final = 1.0


def seconds(argv: Sequence[str], environment: Mapping[str, str], stdins: Sequence[Path], folder: Path) -> float:
    """By the clock, until as many processes as there are inputs have ended; `folder`/out0... is what they wrote."""
    with contextlib.ExitStack() as files:
        inputs = [files.enter_context(path.open("rb")) for path in stdins]
        outputs = [files.enter_context((folder / f"out{n}").open("wb")) for n in range(len(inputs))]
        began = time.perf_counter()
        processes = [
            subprocess.Popen(argv, cwd=ROOT, env=dict(environment), stdin=put, stdout=out, stderr=subprocess.DEVNULL)
            for put, out in zip(inputs, outputs, strict=True)
        ]
        codes = [process.wait() for process in processes]
        took = time.perf_counter() - began
    if any(codes):
        raise SystemExit(f"{argv} ended with {codes}")
    return took


@contextlib.contextmanager
def scraped(port: int) -> Iterator[None]:
    """Somebody comes by for the metrics, again and again."""
    over = threading.Event()

    def come() -> None:
        while not over.wait(SCRAPE_SECONDS):
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
                answer.read()

    thread = threading.Thread(target=come)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def main() -> int:
    images.require_images()
    environment = {**images.environment(), "LONGLINE_CONFINE": "1"}
    with tempfile.TemporaryDirectory() as directory, webserver() as port:
        home = Path(directory)
        nobody, request, out = (home / name for name in ("nobody", "request", "out"))
        lines = [f"127.1.{number >> 8}.{number & 255}\n" for number in range(1, TARGETS + 1)]
        parts = {name: home / name for name in ("all", "half", "other")}
        for path, some in zip(parts.values(), (lines, lines[::2], lines[1::2]), strict=True):
            path.write_text("".join(some))
        nobody.write_text("")
        request.write_bytes(REQUEST)
        request.chmod(0o644)
        words = ["bannergrab", "-p", str(port), "-c", str(CONCURRENT), "--per-prefix", "0", "-d"]
        plain = [sys.executable, "-m", "stages.cli.main", *words, str(request)]
        inside = images.podman("worker", *words, "/request", mounts={request: "/request:ro"}, interactive=True)
        ways = {
            "outside": (plain, [parts["all"]]),
            "container": (inside, [parts["all"]]),
            "two workers": (plain, [parts["half"], parts["other"]]),
        }
        empty = {
            name: min(seconds(argv, environment, [nobody] * len(given), home) for _ in range(3))
            for name, (argv, given) in ways.items()
        }
        rates: dict[str, list[float]] = {name: [] for name in ways}
        spent: dict[str, list[float]] = {"plain": [], "scraped": []}
        metrics = free_port()
        for _ in range(ROUNDS):
            for name, (argv, given) in ways.items():
                rates[name].append(TARGETS / (seconds(argv, environment, given, home) - empty[name]))
                said = b"".join((home / f"out{n}").read_bytes() for n in range(len(given)))
                good = sum(b'"outcome":"ok"' in line for line in said.split(b"\n"))
                if good != TARGETS:
                    raise SystemExit(f"{name}: {good} good answers of {TARGETS}")
            spent["plain"].append(cpu(plain, environment, parts["all"], out))
            with scraped(metrics):
                words = [*plain, "--metrics", f"127.0.0.1:{metrics}"]
                spent["scraped"].append(cpu(words, environment, parts["all"], out))
    for name, values in rates.items():
        measured(f"banners a second, {name}", values, "/s")
    pairs = [a / b for a, b in zip(rates["container"], rates["outside"], strict=True)]
    best = max(rates["container"]) / max(rates["outside"])
    holds = measured("container / outside", pairs, "", bar=CONTAINER_BAR, judged=best)
    measured("two workers / one", [a / b for a, b in zip(rates["two workers"], rates["outside"], strict=True)], "")
    pairs = [a / b for a, b in zip(spent["scraped"], spent["plain"], strict=True)]
    best = min(spent["scraped"]) / min(spent["plain"])
    return 0 if measured("CPU, scraped / not", pairs, "", bar=METRICS_BAR, at_most=True, judged=best) and holds else 1


if __name__ == "__main__":
    os.environ.setdefault("LONGLINE_CONFINE", "1")
    sys.exit(main())
