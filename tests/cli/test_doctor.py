"""`longline doctor`: what is wrong is found, each with its mend, and nothing is made by looking."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from uuid import uuid4

from tests.cli.command import longline
from tests.servers.kafka import KafkaServer, free_port


def found(*words: str | Path, code: int, env: dict[str, str] | None = None) -> dict[str, tuple[str, str]]:
    """check -> (state, text)."""
    ran = longline("doctor", "--json", *words, env=env)
    assert ran.returncode == code, ran.stdout + ran.stderr
    rows = [json.loads(line) for line in ran.stdout.splitlines()]
    assert all(row["mend"] for row in rows if row["state"] != "pass")
    return {row["check"]: (row["state"], row["text"]) for row in rows}


def test_a_host_without_a_store(tmp_path: Path) -> None:
    seen = found("--store", f"sqlite:{tmp_path}/none.db", code=1)
    assert seen["store"][0] == "FAIL"
    assert "no such file" in seen["store"][1]
    assert seen["log"] == ("pass", "a pipe")
    assert seen["blocklist"][0] == "warn"
    assert {"privileges", "xdp", "descriptors", "clock"} <= set(seen)
    assert not list(tmp_path.iterdir())


def test_a_store_and_an_old_blocklist(tmp_path: Path) -> None:
    url, file = f"sqlite:{tmp_path}/store.db", tmp_path / "blocked"
    assert longline("sink", "--init", "--store", url).returncode == 0
    file.write_text("192.0.2.0/24\n")
    seen = found("--store", url, "-b", file, code=0)
    assert seen["store"] == ("pass", f"{url} answers: 0 services")
    assert seen["blocklist"] == ("pass", f"{file}, 0 days old")
    old = time.time() - 40 * 86_400
    os.utime(file, (old, old))
    assert found("--store", url, "-b", file, code=0)["blocklist"] == ("warn", f"{file}, 40 days old")


def test_loopback_is_an_interface_and_nonsense_is_none(tmp_path: Path) -> None:
    url = f"sqlite:{tmp_path}/store.db"
    assert longline("sink", "--init", "--store", url).returncode == 0
    assert found("--store", url, "-i", "lo", code=0)["interface"][1].startswith("lo, 127.0.0.1, MTU ")
    state, text = found("--store", url, "-i", "nonsense", code=1)["interface"]
    assert state == "FAIL"
    assert "nonsense" in text


def test_a_broker_and_its_topics(kafka: KafkaServer, tmp_path: Path) -> None:
    url = f"sqlite:{tmp_path}/store.db"
    assert longline("sink", "--init", "--store", url).returncode == 0
    bus = ("--bus", f"kafka://{kafka.bootstrap}", "--topic-prefix", f"t{uuid4().hex[:8]}")
    seen = found("--store", url, *bus, code=0)
    assert seen["log"][0] == "pass"
    assert seen["topics"] == ("warn", "12 of 12 topics are not as they should be")
    assert longline("topics", "apply", *bus).returncode == 0
    assert found("--store", url, *bus, code=0)["topics"] == ("pass", "12 are as they should be")
    nobody = ("--bus", f"kafka://127.0.0.1:{free_port()}")
    seen = found("--store", url, *nobody, code=1, env={"LONGLINE_BUS_REQUEST_TIMEOUT": "2"})
    assert seen["log"][0] == "FAIL"


def test_lines_for_people(tmp_path: Path) -> None:
    ran = longline("doctor", "--store", f"sqlite:{tmp_path}/none.db")
    lines = ran.stdout.splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("FAIL store: "))
    assert lines[at + 1] == "     longline sink --init makes it"
