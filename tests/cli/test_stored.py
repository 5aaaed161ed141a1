from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest

from stages.cli import stored
from stages.cli.sections import load_settings
from stages.cli.stored import Stored, state_of
from stages.core.errors import Unavailable
from stages.core.records import Hit, Scan
from stages.sink.documents import entry, fold_services
from stages.sink.sqlite import SqliteStore
from stages.sink.store import Batch


async def fill(path: Path, *, ended: bool = True, written: int = 3) -> Stored:
    store = SqliteStore(path)
    await store.open()
    await store.init(None)
    hits = [Hit(scan="s", ts=5, ip=f"10.0.0.{n}", port=80, success=n < 3) for n in range(1, 4)]
    observations = [found for hit in hits if (found := entry(hit).observation) is not None]
    for record in (Scan("s", 1, "start"), Scan("s", 1, "end", counters={"written": written}))[: 1 + ended]:
        update = entry(record).scan
        assert update is not None
        await store.write(Batch(scans=[update]))
    await store.write(Batch(observations=observations))
    assert fold_services(observations)
    await store.close()
    return Stored(load_settings(argparse.Namespace()).changed("store", url=f"sqlite:{path}"))


async def test_who_answered_a_scan(tmp_path: Path) -> None:
    reads = await fill(tmp_path / "s.db")
    [some] = [some async for some in reads.states(["s", "t"])]
    assert [pair for pair, _ in some] == [("10.0.0.1", 80), ("10.0.0.2", 80)], "the third was refused"
    assert all(state for _, state in some)
    assert await reads._hits(["s", "t"]) == 3
    assert [some async for some in reads.states(["t"])] == []
    assert await reads.found("s", [("10.0.0.1", 80), ("10.0.0.3", 80), ("10.0.0.1", 81), ("10.0.0.2", 80)]) == 2
    assert await reads.found("t", [("10.0.0.1", 80)]) == 0


async def test_what_nobody_stores_is_waited_for_no_longer_than_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "LOOK", 0.01)
    await (await fill(tmp_path / "s.db")).until_stored(["s"])
    monkeypatch.setattr(stored, "PATIENCE", 0.05)
    with pytest.raises(Unavailable, match="scan s "):
        await (await fill(tmp_path / "t.db", ended=False)).until_stored(["s"])


@pytest.mark.parametrize(
    ("looks", "needed"),
    [
        ([3, 3], 2),
        ([0, 3, 3], 3),
        ([1, 1, 1, 3, 3], 5),  # the end came before the hits that it speaks of
        ([2, 2, 2, 2, 2, 2], 6),  # one came twice, and is stored once
        ([4, 4], 2),  # over several runs
    ],
)
async def test_a_sweep_is_stored_when_no_hit_comes_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, looks: list[int], needed: int
) -> None:
    monkeypatch.setattr(stored, "LOOK", 0.0)
    reads = await fill(tmp_path / "s.db", written=3)
    left = iter([*looks, 1_000, 2_000, 3_000])
    seen = []

    async def hits(_: Stored, scans: list[str]) -> int:
        seen.append(scans)
        return next(left)

    monkeypatch.setattr(Stored, "_hits", hits)
    await reads.until_stored(["s"])
    assert len(seen) == needed


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({}, {"last_seen": 5}, True),
        (
            {"banner": {"data": b"HTTP/1.1 200 OK\r\nDate: 1"}},
            {"banner": {"data": b"HTTP/1.1 200 OK\r\nDate: 2"}},
            True,
        ),
        ({"banner": {"data": b"HTTP/1.1 200 OK\r\n"}}, {"banner": {"data": b"HTTP/1.1 404 Not Found\r\n"}}, False),
        ({"banner": {"outcome": "ok"}}, {"banner": {"outcome": "silent"}}, False),
        ({"tls": {"leaf": "a"}}, {"tls": {"leaf": "b"}}, False),
        ({"tls": {"leaf": "a", "ts": 1}}, {"tls": {"leaf": "a", "ts": 2}}, True),
    ],
)
def test_what_is_a_change(one: dict[str, Any], other: dict[str, Any], same: bool) -> None:
    assert (state_of(one) == state_of(other)) is same
    assert state_of(one), "what answers is not gone"
