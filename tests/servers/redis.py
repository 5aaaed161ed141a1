"""A real Redis server for the tests, on a port and in a folder of its own.

with redis_server(folder) as server:
    server.ask("LRANGE", "zmap", "0", "-1")      # by redis-cli, not by our own client
    server.stop(); server.start()
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.require import require

#: Seconds until it must answer.
PATIENCE: Final = 60.0


class RedisServer:
    """One process; `start` after `stop` begins empty, on the same port."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with socket.create_server(("127.0.0.1", 0)) as held:
            self.port = int(held.getsockname()[1])
        self.socket = folder / "redis.sock"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        self._process = subprocess.Popen(
            ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
             "--unixsocket", str(self.socket), "--dir", str(self._folder)],
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        end = time.monotonic() + PATIENCE
        while self._cli("PING").stdout.strip() != "PONG":
            assert self._process.poll() is None
            assert time.monotonic() < end, "redis-server does not answer"
            time.sleep(0.02)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None

    def ask(self, *words: str) -> list[str]:
        """The answer's lines."""
        done = self._cli(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    def _cli(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["redis-cli", "-p", str(self.port), *words], capture_output=True, text=True, check=False, timeout=PATIENCE
        )


@contextmanager
def redis_server(folder: Path) -> Iterator[RedisServer]:
    require(shutil.which("redis-server") and shutil.which("redis-cli"), "redis-server and redis-cli")
    server = RedisServer(folder)
    server.start()
    try:
        yield server
    finally:
        server.stop()
