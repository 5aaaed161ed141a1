"""A real MongoDB wire server for the tests: `mongo_server` and `mongo_memory_server`.

mongo-java-server speaks MongoDB's wire protocol over an H2 file (durable: committed about once a second and when it is
stopped by SIGTERM) or in memory. It can be stopped and started again on the same port. What it lacks and we do
without: transactions, updates by pipeline.

    pytest_plugins = ["tests.servers.mongo"]      # in the root conftest.py

    def test_it(mongo_server):                    # one for the session, in memory; make a database of your own name
        client = pymongo.MongoClient(mongo_server.url)

    with MongoServer(file=tmp_path / "mongo.h2") as server:    # durable, of one's own
        server.stop(); server.start()
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Self

import pytest

from tests.require import require
from tests.servers.ending import die_with_parent

ROOT: Final = Path(__file__).resolve().parents[2]
SOURCE: Final = ROOT / "deploy" / "test-servers" / "mongo"
JARS: Final = ROOT / ".cache" / "servers" / "mongo" / "lib"

#: Seconds until the server must listen: a JVM that compiles one source file on a busy machine.
START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 30.0


def jars() -> Path | None:
    """The folder of the server's jars, fetched with Maven when it is not there; None without Java or Maven."""
    if shutil.which("java") is None:
        return None
    if any(JARS.glob("mongo-java-server-h2-backend-*.jar")):
        return JARS
    if shutil.which("mvn") is None:
        return None
    part = JARS.with_name(f"lib.{os.getpid()}")
    command = ["mvn", "-q", "-B", "-f", str(SOURCE / "pom.xml"), "dependency:copy-dependencies"]
    made = subprocess.run([*command, f"-DoutputDirectory={part}"], capture_output=True, check=False)
    if made.returncode:
        shutil.rmtree(part, ignore_errors=True)
        return None
    if not JARS.exists():  # else another process was first
        part.rename(JARS)
    return JARS


class MongoServer:
    """One server process. `file` None: in memory. `join`, called in it, may take it into another namespace. `tls`: a
    folder with `key.der` and `certificate.der`, then it speaks TLS only."""

    def __init__(
        self, file: Path | None = None, join: Callable[[], None] | None = None, *, tls: Path | None = None
    ) -> None:
        self.file = file
        self._tls = tls
        self._join = join
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"mongodb://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it, on the port it had before if there was one; return when it listens."""
        lib = jars()
        assert lib is not None, "no jars of the MongoDB wire server"
        arguments = [str(self.port), str(self.file or "-"), *([str(self._tls)] if self._tls else [])]
        self._process = subprocess.Popen(
            ["java", "-Xmx1g", "-XX:+UseSerialGC", "-cp", f"{lib}/*", str(SOURCE / "Launcher.java"), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            preexec_fn=self._prepare,
        )
        assert self._process.stdout is not None
        watchdog = threading.Timer(START_SECONDS, self._process.kill)
        watchdog.start()
        try:
            line = self._process.stdout.readline()
        finally:
            watchdog.cancel()
            watchdog.join()
        assert line.startswith(b"ready "), "the MongoDB wire server did not start"
        self.port = int(line.split()[1])

    def _prepare(self) -> None:
        die_with_parent()
        if self._join is not None:
            self._join()

    def stop(self, signum: signal.Signals = signal.SIGTERM) -> None:
        """Stop it (SIGTERM: what was acknowledged is in the file) and wait for its end."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signum)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        assert process.stdout is not None
        process.stdout.close()

    def restart(self) -> None:
        self.stop()
        self.start()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()


def require_mongo() -> None:
    """Skip (in CI: fail) unless the wire server can be started here."""
    require(jars() is not None, "the MongoDB wire server: needs Java, and Maven to fetch its jars")


@pytest.fixture(scope="session")
def mongo_server() -> Iterator[MongoServer]:
    """The session's server, in memory. Use a database name of your own."""
    require_mongo()
    with MongoServer() as server:
        yield server


@pytest.fixture
def mongo_durable(tmp_path: Path) -> Iterator[MongoServer]:
    """A server of this test's own over a file, to be stopped and started."""
    require_mongo()
    with MongoServer(tmp_path / "mongo.h2") as server:
        yield server
