"""What production costs: `python -m tests.bench.bench_production`.

One nginx on the loopback answers for 20,000 addresses. `longline bannergrab` reads them from standard input and writes
what came to a file, 500 connections at once, no limit on a prefix, in four ways that take turns: as it is, in its
container (podman, the host's network, a read-only root, no capability), with its metrics served and scraped each second
(fifteen times as often as Prometheus comes by), and as two workers. Banners a second by the clock, less the time of the
same command without a target; CPU of the whole process tree where the container does not hide it. nginx shares the two
cores, so two workers show what is left of them. Exit code 1 when a bar is missed.
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


def seconds(argv: Sequence[str], environment: Mapping[str, str], stdin: Path, stdout: Path) -> float:
    """By the clock, until it has ended."""
    with stdin.open("rb") as targets, stdout.open("wb") as out:
        began = time.perf_counter()
        done = subprocess.run(
            argv, cwd=ROOT, env=dict(environment), stdin=targets, stdout=out, stderr=subprocess.DEVNULL, check=False
        )
        took = time.perf_counter() - began
    if done.returncode:
        raise SystemExit(f"{argv} ended with {done.returncode}")
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
        targets, nobody, request, out = (home / name for name in ("targets", "nobody", "request", "out"))
        targets.write_text("".join(f"127.1.{number >> 8}.{number & 255}\n" for number in range(1, TARGETS + 1)))
        nobody.write_text("")
        request.write_bytes(REQUEST)
        request.chmod(0o644)
        words = ["bannergrab", "-p", str(port), "-c", str(CONCURRENT), "--per-prefix", "0", "-d"]
        plain = [sys.executable, "-m", "stages.cli.main", *words, str(request)]
        metrics = free_port()
        ways = {
            "outside": plain,
            "container": images.podman("worker", *words, "/request", mounts={request: "/request:ro"}, interactive=True),
            "two workers": [*plain, "--workers", "2"],
        }
        empty = {name: min(seconds(argv, environment, nobody, out) for _ in range(3)) for name, argv in ways.items()}
        rates: dict[str, list[float]] = {name: [] for name in ways}
        spent: dict[str, list[float]] = {"plain": [], "scraped": []}
        for _ in range(ROUNDS):
            for name, argv in ways.items():
                rates[name].append(TARGETS / (seconds(argv, environment, targets, out) - empty[name]))
                good = sum(b'"outcome":"ok"' in line for line in out.read_bytes().split(b"\n"))
                if good != TARGETS:
                    raise SystemExit(f"{name}: {good} good answers of {TARGETS}")
            spent["plain"].append(cpu(plain, environment, targets, out))
            with scraped(metrics):
                spent["scraped"].append(cpu([*plain, "--metrics", f"127.0.0.1:{metrics}"], environment, targets, out))
    for name, values in rates.items():
        measured(f"banners a second, {name}", values, "/s")
    pairs = [a / b for a, b in zip(rates["container"], rates["outside"], strict=True)]
    best = max(rates["container"]) / max(rates["outside"])
    good = measured("container / outside", pairs, "", bar=CONTAINER_BAR, judged=best)
    measured("two workers / one", [a / b for a, b in zip(rates["two workers"], rates["outside"], strict=True)], "")
    pairs = [a / b for a, b in zip(spent["scraped"], spent["plain"], strict=True)]
    best = min(spent["scraped"]) / min(spent["plain"])
    return 0 if measured("CPU, scraped / not", pairs, "", bar=METRICS_BAR, at_most=True, judged=best) and good else 1


if __name__ == "__main__":
    os.environ.setdefault("LONGLINE_CONFINE", "1")
    sys.exit(main())
