"""The broker's disk is full, and it dies of that: with room again it is started, and everything goes on."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stages.simnet.network import Simnet
from tests.integration.test_outages import begin, end
from tests.integration.topics import Log
from tests.integration.workers import Crew, until
from tests.require import require
from tests.servers.kafka import KafkaServer

#: Of the broker's disk: what a measurement of the town needs, several times.
DISK = "192m"


@contextmanager
def disk(at: Path) -> Iterator[Path]:
    """A small file system of its own."""
    at.mkdir(parents=True)
    require(shutil.which("mount") and os.geteuid() == 0, "root, to mount a small disk")
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "small", str(at)], check=True)
    try:
        yield at
    finally:
        subprocess.run(["umount", "-l", str(at)], check=True)


def fill(at: Path) -> Path:
    """A file that leaves no room."""
    ballast = at / "ballast"
    with ballast.open("wb") as out:
        try:
            while True:
                out.write(bytes(1 << 20))
                out.flush()
        except OSError:
            return ballast


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_brokers_disk_is_full(town: Simnet, store: str, name: str, crew: Crew, tmp_path: Path) -> None:
    with disk(tmp_path / "kafka" / "log") as small, KafkaServer(tmp_path / "kafka", town.joiner()) as server:
        log = Log(town, server, name)
        workers, scan = begin(town, log, store, crew, tmp_path)
        until(lambda: workers[0].metric("longline_sink_documents_total"), "something is stored")
        ballast = fill(small)
        until(lambda: not server.running, "the broker has died of it", 120)
        until(lambda: not any(worker.ready for worker in workers), "no stage is ready")
        assert all(worker.healthy for worker in workers)
        ballast.unlink()
        server.start()
        crew.all_ready(workers)
        end(town, log, store, workers, scan)
