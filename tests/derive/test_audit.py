"""Who scanned a network: records and traces in, what an abuse mail wants to know out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any

import pytest

from stages.core.netset import NetSet
from stages.derive.audit import lines, network_of, overlapping, report

NETWORK = NetSet.parse(["192.0.2.0/28"], "x")


@dataclass(frozen=True)
class One:
    scan: str
    kind: str = "hit"
    vantage: str = ""
    source: str = ""
    count: int = 1
    first: int = 1_795_244_400_000_000
    last: int = 1_795_244_401_000_000


def scan(name: str, ended: bool = True, **spec: Any) -> dict[str, Any]:
    body = {"ports": "80,443", "probe": "tcp_synscan", "size": 8, "last": 8, **spec}
    document: dict[str, Any] = {"_id": name, "start": {"ts": 1_795_244_400_000_000, "spec": body}}
    if ended:
        document["end"] = {"ts": 1_795_244_402_000_000, "position": 8, "counters": {"complete": True}}
    return document


def rows(scans: Sequence[dict[str, Any]], traces: Sequence[One] = ()) -> list[dict[str, Any]]:
    async def stream() -> AsyncIterator[dict[str, Any]]:
        for one in scans:
            yield one

    async def main() -> list[dict[str, Any]]:
        return [row async for row in report(NETWORK, stream(), traces)]

    return asyncio.run(main())


def test_a_whole_row() -> None:
    asked = scan(
        "spring", ranges=["192.0.2.8-192.0.3.255"], probes=2, retries=1, operator="alice@lab", approval="board 17",
        vantage="north", sender={"source_ip": "198.51.100.7,198.51.100.8"},
    )  # fmt: skip
    traces = [One("spring", "hit", "north", "198.51.100.7", 3), One("spring", "banner", "north", "", 2)]
    [row] = rows([asked], traces)
    assert row == {
        "scan": "spring",
        "operator": "alice@lab",
        "approval": "board 17",
        "from": [
            {
                "vantage": "north",
                "addresses": ["198.51.100.7", "198.51.100.8"],
                "first": "2026-11-21T07:00:00.000000Z",
                "last": "2026-11-21T07:00:01.000000Z",
            }
        ],
        "probe": "tcp_synscan",
        "ports": "80,443",
        "start": "2026-11-21T07:00:00.000000Z",
        "end": "2026-11-21T07:00:02.000000Z",
        "last_sign": None,
        "unfinished": None,
        "addresses": 8,
        "probes_at_most": 64,
        "probed_again": 0,
        "not_known": None,
        "stored": {"hit": 3, "banner": 2},
        "first_stored": "2026-11-21T07:00:00.000000Z",
        "last_stored": "2026-11-21T07:00:01.000000Z",
    }
    said = dict(lines(row))
    assert said["probes"] == "64 at most, to 8 addresses"
    assert said["from"] == "north 198.51.100.7 198.51.100.8"
    assert said["stored"].startswith("3 hits, 2 banners, from 2026-11-21T07:00:00")


def test_the_agents_of_a_fleet_are_named() -> None:
    shared = scan("s", ranges=["192.0.2.1"])
    shared["end"]["counters"]["agents"] = {"carol": 7, "alice": 4}
    later = 1_795_244_401_500_000
    [row] = rows(
        [shared],
        [One("s", vantage="bob", source="203.0.113.9", first=later, last=later), One("s", vantage="alice")],
    )
    said = dict(lines(row))
    assert said["from"] == "alice; bob 203.0.113.9; carol"
    assert said["probes"].endswith("to 1 addresses; 3 of all its targets by a second agent too")
    assert [place.get("first") for place in row["from"]] == [
        "2026-11-21T07:00:00.000000Z", "2026-11-21T07:00:01.500000Z", None,
    ]  # fmt: skip


def test_a_fleets_scan_that_runs_names_whom_it_was_given_to() -> None:
    [row] = rows([scan("s", ended=False, ranges=["192.0.2.1"], agents=["dora"])])
    assert dict(lines(row))["from"] == "dora"
    [row] = rows([scan("s", ended=False, ranges=["192.0.2.1"], agents=[])])
    assert dict(lines(row))["from"] == "not recorded"


def test_what_was_made_of_a_campaigns_refresh_is_no_scan() -> None:
    assessed = {"ts": 1_795_244_402_000_000, "counters": {}, "spec": {"campaign": "watch"}}
    assert rows([{"_id": "watch-known-000001", "assessed": assessed}]) == []
    [row] = rows([{"_id": "watch-known-000001", "assessed": assessed}], [One("watch-known-000001")])
    assert row["stored"] == {"hit": 1}
    assert len(rows([scan("watch-full-000001", ranges=["192.0.2.1"]) | {"assessed": assessed}])) == 1


@pytest.mark.parametrize(
    ("record", "traces", "told"),
    [
        (scan("s", ranges=["192.0.3.0/24"]), [], None),
        (scan("s", ranges=["192.0.3.0/24"]), [One("s")], "0 at most, to 0 addresses (the network is not among"),
        (scan("s", ranges=None, targets=["192.0.2.0/24"]), [], "32 at most, to 16 addresses (its targets as written"),
        (scan("s", ranges=None, targets=["www.example.org"]), [], "not known (its targets are names"),
        ({"_id": "s"}, [], "not known (its start is not recorded)"),
    ],
)
def test_which_scans_are_told_of(record: dict[str, Any], traces: list[One], told: str | None) -> None:
    found = rows([record], traces)
    assert len(found) == (told is not None)
    for row in found:
        assert told is not None
        assert dict(lines(row))["probes"].startswith(told)


def test_what_is_not_recorded_is_said() -> None:
    [row] = rows([], [One("of nobody")])
    said = dict(lines(row))
    assert {said[key] for key in ("who", "approval", "from", "what")} == {"not recorded"}
    assert said["when"] == "not recorded to no end is recorded"
    [row] = rows([scan("s", ended=False, ranges=["192.0.2.1"])])
    assert dict(lines(row))["when"].endswith("to no end is recorded (it has no end)")
    seen = scan("s", ended=False, ranges=["192.0.2.1"]) | {"progress": {"ts": 1_795_244_401_000_000, "position": 5}}
    assert dict(lines(rows([seen])[0]))["when"].endswith(
        "no end is recorded, its last sign is of 2026-11-21T07:00:01.000000Z (it has no end, and was seen at 5 of 8)"
    )


@pytest.mark.parametrize(
    ("network", "meets"),
    [("192.0.2.0/24", True), ("192.0.2.15", True), ("192.0.2.16", False), ("192.0.1.9-192.0.2.0", True),
     ("2001:db8::/32", False), ("www.example.org", False)],
)  # fmt: skip
def test_entries_that_meet_the_network(network: str, meets: bool) -> None:
    assert overlapping(NETWORK, [{"network": network, "reason": "r"}]) == (
        [{"network": network, "reason": "r"}] if meets else []
    )


@pytest.mark.parametrize("text", ["192.0.2.0/28", "2001:db8::/32", "::/0", "0.0.0.0/0", "192.0.2.1/32"])
def test_a_network_by_its_edges(text: str) -> None:
    network = ip_network(text)
    mapped = b"" if network.version == 6 else bytes(10) + b"\xff\xff"
    edges = (mapped + network[0].packed, mapped + network[-1].packed)
    assert network_of(*edges) == NetSet.parse([text], "x")
