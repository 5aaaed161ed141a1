"""`longline run`: one process, one file; ends when all is stored; goes on where it was; says when it is finished."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
from pathlib import Path

from tests.cli.command import PATIENCE, argv, longline
from tests.servers.talkers import talker


def greet(connection: socket.socket) -> None:
    connection.sendall(b"220 ready\r\n")
    connection.close()


def words(tmp_path: Path, host: str, port: int, *more: str) -> list[str]:
    store = f"sqlite:{tmp_path}/scan.db"
    return [
        "run", "--engine", "connect", "-c", "0", "-p", f"{port}", "--store", store, "--grab", "banner", *more, host,
    ]  # fmt: skip


def stored(tmp_path: Path, collection: str) -> list[dict[str, object]]:
    ran = longline("query", collection, "--json", "--limit", "0", "--store", f"sqlite:{tmp_path}/scan.db")
    assert ran.returncode == 0, ran.stderr
    return [json.loads(line) for line in ran.stdout.splitlines()]


def test_scan_grab_store_and_then_it_says_it_is_finished(tmp_path: Path) -> None:
    with talker(greet) as (host, port):
        first = longline(*words(tmp_path, host, port))
        assert first.returncode == 0, first.stderr
        again = longline(*words(tmp_path, host, port))
        assert again.returncode == 0, again.stderr
        assert "is finished; --again scans anew" in again.stderr
        assert len(stored(tmp_path, "banners")) == 1
        anew = longline(*words(tmp_path, host, port, "--again"))
        assert anew.returncode == 0, anew.stderr
    (service,) = stored(tmp_path, "services")
    assert service["port"] == port
    assert len(stored(tmp_path, "banners")) == 2
    assert len(stored(tmp_path, "scans")) == 2
    mode = (tmp_path / "scan.db.checkpoint").stat().st_mode & 0o777
    assert mode == 0o600


def test_a_signal_drains_and_the_next_start_goes_on(tmp_path: Path) -> None:
    with talker(greet) as (host, port):
        typed = words(tmp_path, host, port, "-r", "200", "-e", "7")
        typed[typed.index("-p") + 1] = f"{port},1-1500"
        run = subprocess.Popen(argv(*typed), stderr=subprocess.PIPE, text=True)
        assert run.stderr is not None
        for line in run.stderr:
            if "200 probes/s" in line:
                break
        run.send_signal(signal.SIGTERM)
        assert run.wait(PATIENCE) == 128 + signal.SIGTERM
        run.stderr.close()
        typed[typed.index("-r") + 1] = "5000"
        rest = longline(*typed)
        assert rest.returncode == 0, rest.stderr
    (scan,) = stored(tmp_path, "scans")
    assert scan["end"]["position"] == 1501  # type: ignore[index]
    assert [service["port"] for service in stored(tmp_path, "services")] == [port]
