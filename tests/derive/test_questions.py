"""Shared and moved: by table, over streams sorted as the store sorts them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from stages.derive.questions import MAX_ADDRESSES, SHOWN_ADDRESSES, moved, shared

Visit = tuple[str, str, int, int]


async def stream(*visits: Visit, thing: str = "key") -> AsyncIterator[dict[str, Any]]:
    for digest, ip, first, last in sorted(visits):
        yield {"thing": thing, "hash": digest, "ip": ip, "address": ip.encode(), "first_seen": first, "last_seen": last}


async def test_shared() -> None:
    visits = [
        ("a", "1", 1, 5),
        ("a", "1", 0, 2),
        ("a", "2", 3, 9),
        ("b", "1", 1, 2),
        ("c", "1", 1, 2),
        ("c", "2", 1, 2),
    ]
    rows = [row async for row in shared(stream(*visits))]
    assert rows == [
        {
            "thing": "key",
            "hash": "a",
            "addresses": 2,
            "services": 3,
            "first_seen": 0,
            "last_seen": 9,
            "ips": ["1", "2"],
        },
        {
            "thing": "key",
            "hash": "c",
            "addresses": 2,
            "services": 2,
            "first_seen": 1,
            "last_seen": 2,
            "ips": ["1", "2"],
        },
    ]
    assert [row["hash"] async for row in shared(stream(*visits), since=5)] == ["a"]


async def test_many_addresses_are_counted_and_not_kept() -> None:
    many = [("a", f"{i:06}", i, i) for i in range(MAX_ADDRESSES * 3)]
    [row] = [row async for row in shared(stream(*many))]
    assert (row["addresses"], len(row["ips"])) == (MAX_ADDRESSES * 3, SHOWN_ADDRESSES)
    assert [row async for row in moved(stream(*many))] == []


@pytest.mark.parametrize(
    ("visits", "moves"),
    [
        ([("1", 0, 5), ("2", 6, 9)], [("1", 5, "2", 6)]),
        ([("1", 0, 5), ("2", 5, 9)], []),  # at both at a time
        ([("1", 0, 9), ("2", 3, 4)], []),
        ([("2", 0, 1), ("1", 2, 3), ("3", 4, 5)], [("2", 1, "1", 2), ("1", 3, "3", 4)]),
        ([("1", 0, 9), ("2", 3, 4), ("3", 10, 11)], [("1", 9, "3", 10)]),
        ([("1", 0, 5), ("2", 3, 8), ("3", 9, 9)], [("2", 8, "3", 9)]),
        ([("1", 0, 9)], []),
    ],
)
async def test_moved(visits: list[tuple[str, int, int]], moves: list[tuple[str, int, str, int]]) -> None:
    given = stream(*(("a", *visit) for visit in visits), ("b", "7", 0, 0))
    rows = [row async for row in moved(given)]
    assert [(r["from_ip"], r["from_seen"], r["to_ip"], r["to_seen"]) for r in rows] == moves
    assert all((r["thing"], r["hash"]) == ("key", "a") for r in rows)


async def test_moved_since() -> None:
    visits = [("a", "2", 0, 1), ("a", "1", 2, 3), ("a", "3", 4, 5)]
    assert [row["to_ip"] async for row in moved(stream(*visits), since=3)] == ["3"]
