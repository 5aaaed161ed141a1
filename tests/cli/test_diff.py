"""`longline diff`: two scans in a store, and what is told of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stages.core.records import Record, Scan
from tests.cli.command import longline
from tests.cli.scans import FIRST, SECOND, hit, scan, stored, two_weeks


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    return stored(tmp_path_factory.mktemp("diff"), two_weeks())


def rows(store: str, *words: str) -> list[dict[str, Any]]:
    ran = longline("diff", "spring", "summer", "--json", "--store", store, *words)
    assert ran.returncode == 0, ran.stderr
    return [json.loads(line) for line in ran.stdout.splitlines()]


def test_what_is_different(store: str) -> None:
    found = rows(store)
    assert [(row["how"], row["ip"]) for row in found] == [
        ("changed", "192.0.2.2"), ("gone", "192.0.2.3"), ("added", "192.0.2.4"), ("changed", "192.0.2.5"),
    ]  # fmt: skip
    assert [change["what"] for change in found[3]["changes"]] == ["certificate", "version"]
    assert (found[3]["changes"][1]["before"], found[3]["changes"][1]["after"]) == ("TLSv1.2", "TLSv1.3")


def test_a_table_and_a_summary(store: str) -> None:
    ran = longline("diff", "spring", "summer", "--store", store, "--limit", "3")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[0].split()[:3] == ["how", "ip", "port"]
    assert len(ran.stdout.splitlines()) == 4
    assert "1 added, 1 gone, 2 changed, 1 the same; 1 of spring where summer did not ask" in ran.stderr
    assert "the first 3 of 4" in ran.stderr


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("--by", "prefix"), [{"prefix": "192.0.2.0/24", "added": 1, "gone": 1, "changed": 2}]),
        (
            ("--by", "port"),
            [
                {"port": "443/tcp", "added": 1, "gone": 1, "changed": 1},
                {"port": "80/tcp", "added": 0, "gone": 0, "changed": 1},
            ],
        ),
        (("--by", "fingerprint"), [{"fingerprint": "unknown", "added": 1, "gone": 1, "changed": 2}]),
        (
            ("--by", "prefix", "--prefix-length", "30", "--port", "443"),
            [
                {"prefix": "192.0.2.0/30", "added": 0, "gone": 1, "changed": 0},
                {"prefix": "192.0.2.4/30", "added": 1, "gone": 0, "changed": 1},
            ],
        ),
    ],
)
def test_sums(store: str, words: tuple[str, ...], found: list[dict[str, Any]]) -> None:
    assert rows(store, *words) == found


def test_filters(store: str) -> None:
    assert [row["ip"] for row in rows(store, "--ip", "192.0.2.0/30")] == ["192.0.2.2", "192.0.2.3"]
    assert [row["ip"] for row in rows(store, "--port", "80")] == ["192.0.2.2"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("spring", "winter"), "SCAN: 'winter': no such scan"),
        (("spring", "spring"), "twice the same"),
        (("spring", "summer", "--ip", "x"), "--ip"),
        (("spring", "summer", "--by", "colour"), "colour"),
        (("spring",), "SCAN"),
    ],
)
def test_what_cannot_be(store: str, words: tuple[str, ...], told: str) -> None:
    ran = longline("diff", *words, "--store", store)
    assert ran.returncode == 2
    assert told in ran.stderr


def test_what_a_record_does_not_say_is_told(tmp_path: Path) -> None:
    records: list[Record] = [
        hit("unrecorded", FIRST, "192.0.2.1"),
        *scan("half", SECOND, ended=False),
        Scan("half", SECOND + 9, "progress", position=7),
        hit("half", SECOND, "192.0.2.2"),
    ]
    url = stored(tmp_path, records)
    ran = longline("diff", "unrecorded", "half", "--json", "--store", url)
    assert ran.returncode == 0, ran.stderr
    assert [json.loads(line)["how"] for line in ran.stdout.splitlines()] == ["gone", "added"]
    assert "scan unrecorded: its start is not recorded: taken as if it had asked everywhere" in ran.stderr
    assert "scan half: it has no end, and was seen at 7 of 512: what is missing may not have been asked" in ran.stderr
