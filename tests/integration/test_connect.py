"""The engine of ordinary connections finds what the engine of packets finds, with and without privilege."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from stages.simnet.network import Simnet
from tests.integration import plans
from tests.integration.stored import assert_true
from tests.integration.workers import LONGLINE, PATIENCE


def hits(net: Simnet, folder: Path, argv: list[str]) -> dict[str, dict[str, Any]]:
    """Records by their id, as `-O hits` prints them."""
    with (folder / "said").open("wb") as said:
        scan = net.run(argv, stdout=subprocess.PIPE, stderr=said, stdin=subprocess.DEVNULL, cwd=folder)
        output, _ = scan.communicate(timeout=PATIENCE)
    assert scan.returncode == 0, (folder / "said").read_text()
    records = [orjson.loads(line) for line in output.splitlines()]
    by_id = {record["id"]: record for record in records}
    assert len(by_id) == len(records), "one hit twice"
    return by_id


def test_both_engines_find_the_same(town: Simnet, tmp_path: Path, as_nobody: Callable[[list[str]], list[str]]) -> None:
    packet = hits(town, tmp_path, [LONGLINE, *plans.scan(town, rate=5_000), "-O", "hits"])
    connect = [LONGLINE, *plans.scan(town, rate=5_000, engine="connect"), "-O", "hits", "--connect-timeout", "3"]
    privileged = hits(town, tmp_path, connect)
    ordinary = hits(town, tmp_path, as_nobody(connect))
    where = {(e.ip, e.port) for e in town.expected()}
    for found in (packet, privileged, ordinary):
        assert {(record["ip"], record["port"]) for record in found.values()} == where
    assert packet.keys() == privileged.keys() == ordinary.keys(), "ids do not depend on the engine"
    one = next(iter(packet))
    assert packet[one]["tcp"]["seq"] is not None
    assert not privileged[one]["tcp"], "an ordinary connection shows no SYN-ACK"
    assert packet[one].keys() == privileged[one].keys()


@pytest.mark.slow
def test_run_by_ordinary_connections_as_an_ordinary_user(
    town: Simnet, tmp_path: Path, as_nobody: Callable[[list[str]], list[str]]
) -> None:
    """No part of the pipeline needs a privilege."""
    # Not below tmp_path: pytest's folder is closed to others.
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o777)
        store = f"sqlite:{place}/town.db"
        argv = as_nobody([LONGLINE, *plans.run(town, store, rate=3_000), "--engine", "connect"])
        with (tmp_path / "said").open("wb") as said:
            run = town.run(argv, stdout=said, stderr=said, stdin=subprocess.DEVNULL, cwd=place)
            code = run.wait(PATIENCE)
        assert code == 0, (tmp_path / "said").read_text()
        assert_true(town, store)
