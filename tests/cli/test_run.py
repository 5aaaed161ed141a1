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


def test_another_scan_than_the_finished_one_is_refused_with_the_difference(tmp_path: Path) -> None:
    with talker(greet) as (host, port):
        assert longline(*words(tmp_path, host, port)).returncode == 0
        other = longline(*words(tmp_path, host, port, "127.0.0.9"))
        assert other.returncode == 2
        assert f"--store sqlite:{tmp_path}/scan.db: scan " in other.stderr
        assert "addresses: 1 -> 2" in other.stderr
        assert "--again scans anew" in other.stderr
        anew = longline(*words(tmp_path, host, port, "127.0.0.9", "--again"))
        assert anew.returncode == 0, anew.stderr
    assert len(stored(tmp_path, "scans")) == 2


def test_an_unfinished_scan_is_not_given_up_by_mistake(tmp_path: Path) -> None:
    with talker(greet) as (host, port):
        typed = words(tmp_path, host, port, "-r", "200")
        typed[typed.index("-p") + 1] = f"{port},1-1500"
        run = subprocess.Popen(argv(*typed), stderr=subprocess.PIPE, text=True)
        assert run.stderr is not None
        for line in run.stderr:
            if "200 probes/s" in line:
                break
        run.send_signal(signal.SIGTERM)
        assert "stopped, the same command goes on" in run.stderr.read()
        run.wait(PATIENCE)
        run.stderr.close()
        for more, told in (("--again", "without --again it goes on"), ("127.0.0.9", "addresses: 1 -> 2")):
            refused = longline(*typed, more)
            assert refused.returncode == 2
            assert told in refused.stderr
            assert f"to give it up remove {tmp_path}/scan.db.checkpoint" in refused.stderr


def test_a_tiny_log_is_enough_and_the_end_is_said(tmp_path: Path) -> None:
    with talker(greet) as (host, port):
        ran = longline(*words(tmp_path, host, port, "--max-log-bytes", "10k"))
    assert ran.returncode == 0, ran.stderr
    assert f"all is stored in {tmp_path}/scan.db" in ran.stderr
    assert len(stored(tmp_path, "banners")) == 1
