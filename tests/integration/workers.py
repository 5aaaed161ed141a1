"""`longline` as its users run it: processes of their own, inside a simulated network.

    worker = Worker(net, folder, "sink", "--bus", url, "--store", store)
    worker.start(); until(lambda: worker.ready); worker.kill(); worker.start(); assert worker.stop() == 143

A worker keeps one log file over all its starts.
"""

from __future__ import annotations

import http.client
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, Self

from stages.simnet.network import Simnet

#: Beside the interpreter, where pip puts it.
LONGLINE: Final = str(Path(sys.executable).with_name("longline"))

#: Seconds that anything may take that should come soon; machines are busy.
PATIENCE: Final = 90.0

#: How a worker says where it serves its metrics; it takes any free port.
SERVES: Final = re.compile(r"metrics and health on port (\d+)")

#: A heartbeat missed for so long means that a killed member is gone: otherwise each kill costs half a minute.
QUICK: Final = {"LONGLINE_BUS_SESSION_TIMEOUT": "6", "LONGLINE_BUS_REQUEST_TIMEOUT": "10"}


def until(condition: Callable[[], object], what: str, seconds: float = PATIENCE) -> None:
    """Wait until `condition` holds; fail when it does not within `seconds`."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.05)


def get(net: Simnet, port: int, path: str) -> tuple[int, str]:
    """(status, body) of who listens on the near loopback. Raises OSError, HTTPException while nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        with net.inside():
            connection.connect()
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def says_yes(ask: Callable[[], tuple[int, str]]) -> bool:
    """Whether the answer is 200; no answer is none."""
    try:
        return ask()[0] == http.client.OK
    except (OSError, http.client.HTTPException):
        return False


class Worker:
    """One stage. Without `metrics` (commands that have no such option) `ready` cannot be asked."""

    def __init__(
        self,
        net: Simnet,
        folder: Path,
        *words: str | Path,
        name: str | None = None,
        metrics: bool = True,
        env: Mapping[str, str] | None = None,
        wrap: Callable[[list[str]], list[str]] = list,
    ) -> None:
        self.name = name or str(words[0])
        self.log = folder / f"{self.name}.log"
        self.starts = 0
        self._net = net
        self._folder = folder
        self._words = [str(word) for word in words]
        self._metrics = metrics
        self._from = 0  # where the log of this start begins
        self.env = {**os.environ, **QUICK, **(env or {})}
        self._wrap = wrap
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process

    def start(self, *more: str | Path, stdin: Any = subprocess.DEVNULL, stdout: Any = None) -> Self:
        """Start it; `more` words are for this start only."""
        words = [LONGLINE, *self._words, *map(str, more)]
        if self._metrics:
            words += ["--metrics", "127.0.0.1:0"]
        self.starts += 1
        self._from = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self._process = self._net.run(
                self._wrap(words),
                cwd=self._folder,
                env=self.env,
                stdin=stdin,
                stdout=log if stdout is None else stdout,
                stderr=log,
            )
        return self

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def send(self, signum: int) -> None:
        self.process.send_signal(signum)

    def wait(self, seconds: float = PATIENCE) -> int:
        """Its exit code."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} still runs after {seconds:.0f} s\n{self.tail()}") from None

    def stop(self, signum: int = signal.SIGTERM, seconds: float = PATIENCE) -> int:
        """Send the signal; the exit code."""
        self.send(signum)
        return self.wait(seconds)

    @property
    def text(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def tail(self, size: int = 4000) -> str:
        return f"--- {self.name}\n{self.text[-size:]}"

    # --- by HTTP, as Kubernetes and Prometheus ask

    def get(self, path: str) -> tuple[int, str]:
        """(status, body). Raises OSError while nobody listens."""
        with self.log.open("rb") as log:
            log.seek(self._from)
            told = SERVES.search(log.read().decode(errors="replace"))
        if told is None:
            raise ConnectionRefusedError(f"{self.name} has not said where it listens")
        return get(self._net, int(told[1]), path)

    @property
    def ready(self) -> bool:
        return says_yes(lambda: self.get("/readyz"))

    @property
    def healthy(self) -> bool:
        return says_yes(lambda: self.get("/healthz"))

    def metric(self, name: str) -> float:
        """A metric's value, all its labels together; 0 while nobody answers."""
        try:
            _, body = self.get("/metrics")
        except (OSError, http.client.HTTPException):
            return 0.0
        rows = [line.rpartition(" ") for line in body.splitlines() if not line.startswith("#")]
        return sum(float(value) for series, _, value in rows if series.partition("{")[0] == name)


class Crew(ExitStack):
    """Workers that end with the test."""

    def __init__(self) -> None:
        super().__init__()
        self.workers: list[Worker] = []

    def hire(self, worker: Worker) -> Worker:
        self.workers.append(worker)
        return worker

    def __exit__(self, *exc: Any) -> bool:
        for worker in self.workers:
            if worker.running:
                worker.kill()
            print(worker.tail())  # pytest shows it for a test that failed
        return bool(super().__exit__(*exc))

    def all_ready(self, workers: Sequence[Worker] | None = None) -> None:
        for worker in workers or self.workers:
            until(lambda worker=worker: worker.ready or not worker.running, f"{worker.name} is ready")
            assert worker.running, worker.tail()
