"""`longline stop`, as its users type it."""

from __future__ import annotations

import json
from pathlib import Path
from uuid import uuid4

import pytest

from stages.core.bus.base import Topics
from tests.cli.command import longline
from tests.integration.workers import until
from tests.servers.kafka import KafkaServer


def say(folder: Path, *words: str, code: int = 0) -> str:
    """What it says on standard error, orders of this host in a file of their own."""
    ran = longline("stop", *words, cwd=folder, env={"LONGLINE_ORDERS_FILE": str(folder / "orders")})
    assert ran.returncode == code, ran.stderr
    return ran.stderr


def listed(folder: Path, *words: str) -> list[dict[str, str]]:
    env = {"LONGLINE_ORDERS_FILE": str(folder / "orders")}
    ran = longline("stop", "--list", "--json", *words, cwd=folder, env=env)
    assert ran.returncode == 0, ran.stderr
    return [json.loads(line) for line in ran.stdout.splitlines()]


def test_ordered_listed_lifted(tmp_path: Path) -> None:
    assert listed(tmp_path) == []
    assert "--all ordered: this host" in say(tmp_path, "--all", "--reason", "a fire")
    say(tmp_path, "--campaign", "weekly")
    say(tmp_path, "--prefix", "192.0.2.7/24")
    rows = listed(tmp_path)
    assert [(row["scope"], row["what"], row["reason"]) for row in rows] == [
        ("all", "", "a fire"), ("campaign", "weekly", "by hand"), ("prefix", "192.0.2.0/24", "by hand"),
    ]  # fmt: skip
    assert all("@" in row["by"] and row["at"].endswith("Z") for row in rows)
    assert "--prefix 192.0.2.0/24 lifted" in say(tmp_path, "--lift", "--prefix", "192.0.2.0/24")
    say(tmp_path, "--lift", "--all")
    assert [row["scope"] for row in listed(tmp_path)] == ["campaign"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "required"),
        (("--all", "--campaign", "x"), "not allowed"),
        (("--list", "--lift"), "which one"),
        (("--prefix", "nowhere"), "nowhere"),
        (("--prefix", "example.org"), "a name"),
        (("--campaign", ""), "what"),
        (("--all", "--reason", "a\nb"), "reason"),
        (("--all", "--fleet-state", "nothing.db"), "no such file"),
        (("--all", "--bus", "sqlite:nothing.db"), "no such file"),
        (("--list", "--bus", "sqlite:nothing.db"), "no such file"),
    ],
)
def test_bad_words(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    assert said in say(tmp_path, *words, code=2)
    assert not (tmp_path / "nothing.db").exists()


def test_a_way_that_fails_keeps_the_order_from_none_of_the_others(tmp_path: Path) -> None:
    (tmp_path / "fleet.db").write_bytes(b"")
    (tmp_path / "orders").mkdir()
    said = say(tmp_path, "--all", "--fleet-state", "fleet.db", code=1)
    assert "--all ordered: the fleet (fleet.db.orders)" in said
    assert "Is a directory" in said
    (tmp_path / "orders").rmdir()
    assert [row["where"] for row in listed(tmp_path, "--fleet-state", "fleet.db")] == ["fleet.db"]


def test_the_log_is_told_and_asked(tmp_path: Path) -> None:
    assert longline("sink", "--init", "--store", "sqlite:log.db", cwd=tmp_path).returncode == 0
    assert "the log (sqlite:log.db)" in say(tmp_path, "--all", "--bus", "sqlite:log.db")
    assert [row["where"] for row in listed(tmp_path, "--bus", "sqlite:log.db")] == [
        str(tmp_path / "orders"), "sqlite:log.db"
    ]  # fmt: skip
    say(tmp_path, "--all", "--lift")
    assert [row["where"] for row in listed(tmp_path, "--bus", "sqlite:log.db")] == ["sqlite:log.db"]


def test_the_topic_is_compacted_and_read_from_a_broker(tmp_path: Path, kafka: KafkaServer) -> None:
    bus = ("--bus", f"kafka://{kafka.bootstrap}", "--topic-prefix", f"t{uuid4().hex[:8]}")
    assert listed(tmp_path, *bus) == []
    said = longline("optout", "add", "192.0.2.0/24", *bus, cwd=tmp_path)
    assert said.returncode == 0, said.stderr
    say(tmp_path, "--campaign", "weekly", *bus)
    say(tmp_path, "--all", *bus)
    say(tmp_path, "--all", "--lift", *bus)
    rows = [row for row in listed(tmp_path, *bus) if row["where"].startswith("kafka:")]
    assert sorted((row["order"], row["scope"], row["what"]) for row in rows) == [
        ("optout", "prefix", "192.0.2.0/24"), ("stop", "campaign", "weekly"),
    ]  # fmt: skip
    said = longline("optout", "remove", "192.0.2.0/24", *bus, cwd=tmp_path)
    assert said.returncode == 0, said.stderr
    until(lambda: all(row["order"] != "optout" for row in listed(tmp_path, *bus)), "it is taken back")
    plan = longline("topics", "plan", "--json", *bus, cwd=tmp_path)
    assert Topics(bus[3]).orders not in plan.stdout, "it is as it should be"


def test_a_scan_refuses_while_an_order_stands(tmp_path: Path) -> None:
    say(tmp_path, "--campaign", "weekly", "--reason", "a fire")
    words = ("scan", "127.0.0.1", "-p", "9", "--no-default-blocklist", "--engine", "connect", "--no-system-config")
    env = {"LONGLINE_ORDERS_FILE": str(tmp_path / "orders")}
    ran = longline(*words, "--scan", "weekly-3", cwd=tmp_path, env=env)
    assert ran.returncode == 75, ran.stderr
    assert "a fire" in ran.stderr
    assert "longline stop --lift --campaign weekly" in ran.stderr
    assert longline(*words, "--scan", "daily", cwd=tmp_path, env=env).returncode == 0
