"""`longline diff`: two scans in a store, and what is told of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stages.core.records import Record, Scan
from tests.cli.command import longline
from tests.cli.scans import FIRST, SECOND, fleet_scan, hit, scan, stored, two_weeks


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


def test_scans_of_a_fleet(tmp_path: Path) -> None:
    """Agents' hits are of one scan, whoever heard them; where the later scan was not to go, nothing is gone."""
    found = [
        hit("old", FIRST, "192.0.2.1", vantage="alice"),
        hit("new", SECOND, "192.0.2.1", vantage="bob"),
        hit("new", SECOND + 5, "192.0.2.1", vantage="alice"),  # of a sample that she probed again
        hit("old", FIRST, "192.0.2.2", vantage="bob"),
        hit("new", SECOND, "192.0.2.3", vantage="bob"),
        hit("old", FIRST, "192.0.2.200", vantage="alice"),
    ]
    records = [
        *fleet_scan("old", FIRST, "192.0.2.0-192.0.2.255", 256, {"alice": 128, "bob": 128}),
        *fleet_scan("new", SECOND, "192.0.2.0-192.0.2.127", 128, {"alice": 16, "bob": 128, "carol": 0}),
        *found,
    ]
    url = stored(tmp_path, records)
    ran = longline("diff", "old", "new", "--json", "--store", url)
    assert ran.returncode == 0, ran.stderr
    rows = [json.loads(line) for line in ran.stdout.splitlines()]
    assert [(row["how"], row["ip"]) for row in rows] == [("gone", "192.0.2.2"), ("added", "192.0.2.3")]
    assert ran.stderr == (
        "longline diff: old -> new: 1 added, 1 gone, 0 changed, 1 the same; 1 of old where new did not ask\n"
    )
    told = json.loads(longline("audit", "show", "192.0.2.0/30", "--json", "--store", url, cwd=tmp_path).stdout)
    new = next(row for row in told["scans"] if row["scan"] == "new")
    assert [place["vantage"] for place in new["from"]] == ["alice", "bob", "carol"]
    assert (new["addresses"], new["probes_at_most"], new["probed_again"], new["unfinished"]) == (4, 4, 16, None)


@pytest.mark.parametrize(
    ("spec", "found", "told"),
    [
        ({"ports": "", "probe": "icmp_echoscan"}, [], "2 of old where new did not ask"),
        ({"ports": "53", "probe": "udp"}, ["192.0.2.2"], "1 of old where new did not ask"),
        ({"ports": "53", "probe": "of_a_package"}, ["192.0.2.1", "192.0.2.2"], "2 gone"),
    ],
)
def test_where_another_transport_was_asked_nothing_is_gone(
    tmp_path: Path, spec: dict[str, str], found: list[str], told: str
) -> None:
    old = [hit("old", FIRST, "192.0.2.1", 53), hit("old", FIRST, "192.0.2.2", 53, transport="udp")]
    both = {"ports": "53+53", "probe": "tcp_synscan+udp"}
    url = stored(tmp_path, [*scan("old", FIRST, both), *old, *scan("new", SECOND, spec)])
    ran = longline("diff", "old", "new", "--json", "--store", url)
    assert [json.loads(line)["ip"] for line in ran.stdout.splitlines()] == found
    assert told in ran.stderr


def test_a_refresh_of_a_campaign_is_several_scans(tmp_path: Path) -> None:
    refresh = [*scan("watch-known-000001-0", FIRST), hit("watch-known-000001-0", FIRST, "192.0.2.1")]
    url = stored(tmp_path, [*refresh, Scan("watch-known-000001", FIRST + 9, "assessed", counters={})])
    ran = longline("diff", "watch-known-000001-0", "watch-known-000001", "--store", url)
    assert ran.returncode == 2
    assert "'watch-known-000001': is a sweep of several scans: watch-known-000001-0" in ran.stderr
    ran = longline("query", "stats", "--by", "port", "--json", "--store", url)
    assert [json.loads(line)["scan"] for line in ran.stdout.splitlines()] == ["watch-known-000001-0"]
