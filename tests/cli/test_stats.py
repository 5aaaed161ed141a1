"""`longline query stats`: adoption over two scans, by each thing that is counted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import longline
from tests.cli.scans import FIRST, hit, stored, two_weeks


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    early = hit("unrecorded", FIRST - 86_400_000_000, "192.0.2.9", 22)
    return stored(tmp_path_factory.mktemp("stats"), [*two_weeks(), early])


def rows(store: str, *words: str) -> list[dict[str, Any]]:
    ran = longline("query", "stats", "--json", "--store", store, *words)
    assert ran.returncode == 0, ran.stderr
    return [json.loads(line) for line in ran.stdout.splitlines()]


def counts(row: dict[str, Any]) -> dict[Any, int]:
    return {one["value"]: one["count"] for one in row["values"]}


def test_versions_by_scan(store: str) -> None:
    found = rows(store, "--by", "version", "--over", "scans", "--scan", "s*")
    assert [(row["scan"], row["start"][:10], row["services"]) for row in found] == [
        ("spring", "2026-11-21", 1), ("summer", "2026-11-28", 1),
    ]  # fmt: skip
    assert counts(found[0]) == {"TLSv1.2": 1, "TLSv1.3": 0}
    assert found[1]["values"][1] == {"value": "TLSv1.3", "count": 1, "share": 1.0}


@pytest.mark.parametrize(
    ("words", "first", "last"),
    [
        (("--by", "port"), {"443": 4, "80": 1, "22": 0}, {"443": 3, "80": 1, "22": 0}),
        (("--by", "issuer"), {"CN=new.example": 0, "CN=old.example": 1}, {"CN=new.example": 1, "CN=old.example": 0}),
        (("--by", "prefix"), {"192.0.2.0/24": 4, "198.51.100.0/24": 1}, {"192.0.2.0/24": 4, "198.51.100.0/24": 0}),
        (("--by", "prefix", "--prefix-length", "1"), {"128.0.0.0/1": 5}, {"128.0.0.0/1": 4}),
    ],
)
def test_by_scan(store: str, words: tuple[str, ...], first: dict[str, int], last: dict[str, int]) -> None:
    unrecorded, spring, summer = rows(store, *words)
    assert unrecorded["scan"] == "unrecorded"
    assert (counts(spring), counts(summer)) == (first, last)


def test_by_day_the_newest_and_the_rest_as_one(store: str) -> None:
    found = rows(store, "--by", "port", "--over", "days", "--top", "1")
    assert [row["day"] for row in found] == ["2026-11-20", "2026-11-21", "2026-11-28"]
    assert found[1]["other"] == {"values": 2, "count": 1, "share": 0.2}
    [newest] = rows(store, "--by", "port", "--limit", "1")
    assert newest["scan"] == "summer"
    [later] = rows(store, "--by", "port", "--since", "2026-11-25T00:00:00Z")
    assert later["scan"] == "summer"


def test_a_table(store: str) -> None:
    ran = longline("query", "stats", "--by", "port", "--store", store, "--limit", "2", "--top", "1")
    assert ran.returncode == 0, ran.stderr
    lines = ran.stdout.splitlines()
    assert lines[0].split() == ["scan", "start", "services", "443", "1", "others"]
    assert "4 (80.0%)" in lines[1]
    assert "the newest 2" in ran.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("stats",), "--by: by what?"),
        (("stats", "--by", "port", "--port", "80"), "--port: means nothing for stats"),
        (("stats", "--by", "hour"), "hour"),
        (("services", "--top", "3"), "--top: means nothing for services"),
    ],
)
def test_what_cannot_be(store: str, words: tuple[str, ...], told: str) -> None:
    ran = longline("query", *words, "--store", store)
    assert ran.returncode == 2
    assert told in ran.stderr


def test_an_empty_store(tmp_path: Path) -> None:
    assert rows(stored(tmp_path, []), "--by", "port") == []
