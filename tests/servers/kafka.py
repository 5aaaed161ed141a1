"""A real Kafka broker for the tests: `kafka`.

One KRaft node, broker and controller in one process, its jars fetched by Maven. It stops and starts again on the same
port with the same log, so that "the broker was restarted in the middle" is a test.

    pytest_plugins = ["tests.servers.kafka"]      # in the root conftest.py

    def test_it(kafka):                           # one for the session; use topics and groups of your own names
        url = f"kafka://{kafka.bootstrap}"
        kafka.restart()

    with KafkaServer(folder) as server:           # one's own, for tests that leave it stopped
        server.stop(); server.start()
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, Self

import pytest

from tests.require import require
from tests.servers.ending import die_with_parent

ROOT: Final = Path(__file__).resolve().parents[2]
SOURCE: Final = ROOT / "deploy" / "test-servers" / "kafka"
JARS: Final = ROOT / ".cache" / "servers" / "kafka" / "lib"

#: Seconds until the broker must be up: it needs four alone on the machine.
START_SECONDS: Final = 90.0
STOP_SECONDS: Final = 30.0

#: Any id will do for a cluster of one, but it must be the same at each start.
CLUSTER_ID: Final = "bG9uZ2xpbmUtdGVzdHMtMQ"

_PROPERTIES: Final = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={folder}/log
num.partitions=1
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
auto.create.topics.enable=false
"""


#: The parent-death signal comes when the *thread* that started a child ends (prctl(2)). All brokers are started by this
#: one, which lives as long as the process, so that a test may restart a broker from a thread of its own.
_spawner: Final = ThreadPoolExecutor(1, "kafka-spawner")


def jars() -> Path | None:
    """The folder of the broker's jars, fetched with Maven when it is not there; None without Java or Maven."""
    if shutil.which("java") is None:
        return None
    if any(JARS.glob("kafka_2.13-*.jar")):
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


def free_port() -> int:
    """A port of 127.0.0.1 that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class KafkaServer:
    """One broker, its log in `folder`. `join`, called in the new process, may take it into another namespace."""

    def __init__(self, folder: Path, join: Callable[[], None] | None = None) -> None:
        self.folder = folder
        self._join = join
        self.port = free_port()
        self._controller = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    #: For those who make a broker of another kind of it.
    format_words: tuple[str, ...] = ()

    def more(self, properties: str) -> str:
        """The properties, with what this kind of broker has besides."""
        return properties

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it and wait until it answers."""
        folder = jars()
        require(folder is not None, "Kafka needs Java, and Maven for its jars")
        properties = self.folder / "server.properties"
        if not properties.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            text = _PROPERTIES.format(port=self.port, controller=self._controller, folder=self.folder)
            properties.write_text(self.more(text))
            words = ("format", "-t", CLUSTER_ID, "-c", str(properties), *self.format_words)
            self._run(folder, "kafka.tools.StorageTool", *words).wait()
        self._process = self._run(folder, "kafka.Kafka", str(properties))
        deadline = time.monotonic() + START_SECONDS
        while "Kafka Server started" not in self._log_of_this_start():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"Kafka did not start:\n{self._log_of_this_start()[-4000:]}")
            time.sleep(0.1)

    def _run(self, folder: Path | None, *arguments: str) -> subprocess.Popen[bytes]:
        out = (self.folder / "out.txt").open("ab")
        self._from = out.tell()
        options = ["-Xmx512m", "-Xshare:auto", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        with out:
            return _spawner.submit(
                subprocess.Popen,
                ["java", *options, "-Dorg.slf4j.simpleLogger.logFile=System.out", "-cp", f"{folder}/*", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                preexec_fn=self._prepare,
            ).result()

    def _prepare(self) -> None:
        die_with_parent()
        if self._join is not None:
            self._join()

    def _log_of_this_start(self) -> str:
        with (self.folder / "out.txt").open("rb") as file:
            file.seek(self._from)
            return file.read().decode(errors="replace")

    def stop(self, signum: int = signal.SIGTERM) -> None:
        """Stop it (SIGTERM: it closes its log; SIGKILL: it does not) and wait until it is gone."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signum)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def restart(self, signum: int = signal.SIGTERM) -> None:
        self.stop(signum)
        self.start()

    def pause(self) -> None:
        """It hangs: connections stay open and nothing answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED)  # its threads stop one after the other

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop(signal.SIGKILL)


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    """One broker for the session, started by the first test that asks for it."""
    with KafkaServer(tmp_path_factory.mktemp("kafka")) as server:
        yield server
