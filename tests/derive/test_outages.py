from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from stages.derive.outages import outages

TARGET = {"ip": "10.0.0.1", "port": 443, "transport": "tcp"}


async def stream(*documents: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
    for document in documents:
        yield document


async def test_those_that_last_come_first() -> None:
    down = {**TARGET, "name": "x.example", "last_seen": 1_000_000, "down_since": 2_000_000, "row": []}
    up = {**TARGET, "details": {"last_seen": 5_000_000, "down_since": 6_000_000, "until": 7_500_000}}
    rows = [row async for row in outages(stream(down), stream(up), 10_000_000)]
    assert rows == [
        {**TARGET, "name": "x.example", "last_seen": 1_000_000, "down_since": 2_000_000, "seconds": 8.0},
        {**TARGET, "last_seen": 5_000_000, "down_since": 6_000_000, "up_at": 7_500_000, "seconds": 1.5},
    ]
