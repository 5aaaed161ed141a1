"""A real Prometheus: `with PrometheusServer(folder, config) as server: server.query("up")`."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
import urllib.parse
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Final, Self

from tests.require import require
from tests.servers.ending import die_with_parent
from tests.servers.kafka import free_port

START_SECONDS: Final = 30.0
STOP_SECONDS: Final = 20.0


class PrometheusServer:
    """One server on loopback. `join`, called in the new process, may take it into another namespace, which `inside`
    then enters for the questions."""

    def __init__(
        self,
        folder: Path,
        config: str,
        *,
        join: Callable[[], None] | None = None,
        inside: Callable[[], Any] | None = None,
    ) -> None:
        self._folder = folder
        self._config = config
        self._join = join
        self._inside = inside
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        require(shutil.which("prometheus"), "prometheus")
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / "prometheus.yaml").write_text(self._config)
        with (self._folder / "prometheus.log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    "prometheus",
                    f"--config.file={self._folder / 'prometheus.yaml'}",
                    f"--storage.tsdb.path={self._folder / 'data'}",
                    f"--web.listen-address=127.0.0.1:{self.port}",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=self._prepare,
                env={**os.environ, "GOMAXPROCS": "1"},
            )
        end = time.monotonic() + START_SECONDS
        while True:
            try:
                if self._get("/-/ready")[0] == 200:
                    return self
            except OSError:
                pass
            if self._process.poll() is not None or time.monotonic() > end:
                self.__exit__()
                raise RuntimeError((self._folder / "prometheus.log").read_text()[-3000:])
            time.sleep(0.1)

    def _prepare(self) -> None:
        die_with_parent()
        if self._join is not None:
            self._join()

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def _get(self, path: str) -> tuple[int, bytes]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            if self._inside is None:
                connection.connect()
            else:
                with self._inside():
                    connection.connect()
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def query(self, expr: str) -> list[dict[str, Any]]:
        """The series of an instant query. Raises ValueError: Prometheus does not understand it."""
        status, body = self._get("/api/v1/query?" + urllib.parse.urlencode({"query": expr}))
        told = json.loads(body)
        if status != 200:
            raise ValueError(f"{expr}: {told.get('error')}")
        return list(told["data"]["result"])

    def alerts(self) -> list[dict[str, Any]]:
        return list(json.loads(self._get("/api/v1/alerts")[1])["data"]["alerts"])
