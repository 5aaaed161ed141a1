"""`longline query outages`, `events` and `services` over a store in which sweeps were assessed."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from stages.cli.happened import HAPPENED, lasting, told
from stages.cli.sections import HAPPENED as CHOICES
from stages.core.events import Event
from stages.derive.assess import assess
from stages.derive.availability import Rules
from stages.sink.sqlite_history import SqliteHistory
from tests.cli.command import longline
from tests.derive.sweeps import at, swept
from tests.sink.material import banner, hit, write


async def _publish(_: Sequence[Event]) -> None:
    """Nobody listens."""


async def _fill(path: Path) -> None:
    """10.0.0.1 stays and says something else, 10.0.0.2 goes, 10.0.0.3 goes and comes back."""
    history = SqliteHistory(path)
    await history.open()
    try:
        life = {0: (1, 2, 3), 10: (1,), 20: (1,), 30: (1, 3)}
        for minutes, there in life.items():
            scan = f"s{minutes}"
            said = b"SSH-2.0-a\r\n" if minutes < 20 else b"SSH-2.0-[red]b\r\n"
            await write(history, *[hit(f"10.0.0.{i}", at(minutes + 1), scan=scan) for i in there])
            await write(history, banner("10.0.0.1", at(minutes + 1), scan=scan, data=said))
            await assess(history, swept(minutes, scan=scan), Rules(misses=2), _publish)
    finally:
        await history.close()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("happened") / "scan.db"
    asyncio.run(_fill(path))
    return f"sqlite:{path}"


def rows(store: str, *words: str) -> list[dict[str, Any]]:
    ran = longline("query", *words, "--json", "--store", store)
    assert ran.returncode == 0, ran.stderr
    return [json.loads(line) for line in ran.stdout.splitlines()]


def test_outages(store: str) -> None:
    lasts, ended = rows(store, "outages")
    assert (lasts["ip"], lasts["down_since"], "up_at" in lasts) == ("10.0.0.2", "2026-11-21T07:10:00.000000Z", False)
    assert lasts["seconds"] > 0
    assert ended == {
        "ip": "10.0.0.3", "port": 443, "transport": "tcp", "last_seen": "2026-11-21T07:01:00.000000Z",
        "down_since": "2026-11-21T07:10:00.000000Z", "up_at": "2026-11-21T07:31:00.000000Z", "seconds": 1_260.0,
    }  # fmt: skip


def test_outages_in_a_table(store: str) -> None:
    ran = longline("query", "outages", "--store", store)
    assert ran.returncode == 0, ran.stderr
    header, lasts, ended = (line.rstrip() for line in ran.stdout.splitlines())
    assert header.split()[:4] == ["ip", "port", "transport", "name"]
    assert lasts.startswith("10.0.0.2")
    assert "21m 0s" in ended


def test_events(store: str) -> None:
    found = [(event["ts"][14:16], event["type"], event["ip"]) for event in rows(store, "events")]
    assert sorted(found) == [
        ("01", "service_up", "10.0.0.1"), ("01", "service_up", "10.0.0.2"), ("01", "service_up", "10.0.0.3"),
        ("10", "service_down", "10.0.0.2"), ("10", "service_down", "10.0.0.3"),
        ("21", "banner_changed", "10.0.0.1"), ("31", "service_up", "10.0.0.3"),
    ]  # fmt: skip
    [down] = [e for e in rows(store, "events", "--ip", "10.0.0.2") if e["type"] == "service_down"]
    assert down["details"]["decided"] == "2026-11-21T07:25:00.000000Z"
    assert "address" not in down


def test_events_in_a_table_colour_nothing(store: str) -> None:
    ran = longline("query", "events", "--store", store)
    assert ran.returncode == 0, ran.stderr
    assert "SSH-2.0-a -> SSH-2.0-[red]b" in ran.stdout
    assert "missed 2 times from v1" in ran.stdout
    assert "was down since 2026-11-21T07:10:00.000000Z" in ran.stdout


@pytest.mark.parametrize(
    ("words", "count"),
    [
        (("outages", "--ip", "10.0.0.3"), 1),
        (("outages", "--port", "80"), 0),
        (("outages", "--since", "2026-11-21T07:31:00Z"), 2),
        (("outages", "--since", "2026-11-21T07:31:01Z"), 1),
        (("outages", "--limit", "1"), 1),
        (("events", "--scan", "s20"), 3),
        (("events", "--since", "2026-11-21T07:21:00Z"), 2),
        (("events", "--ip", "10.0.0.0/31"), 2),
        (("events", "--name", "x"), 0),
        (("events", "--limit", "3"), 3),
    ],
)
def test_filters(store: str, words: tuple[str, ...], count: int) -> None:
    assert len(rows(store, *words)) == count


@pytest.mark.parametrize(
    "words",
    [("outages", "--scan", "s"), ("events", "--outcome", "ok"), ("events", "--moved"), ("outages", "--issuer", "x")],
)
def test_a_filter_that_means_nothing_is_refused(store: str, words: tuple[str, ...]) -> None:
    ran = longline("query", *words, "--store", store)
    assert ran.returncode == 2
    assert words[1] in ran.stderr
    assert "means nothing" in ran.stderr


def test_services_say_their_state(store: str) -> None:
    states = {
        row["ip"]: (row["last_changed"][14:16], row.get("down_since", "")[14:16]) for row in rows(store, "services")
    }
    assert states == {"10.0.0.1": ("21", ""), "10.0.0.2": ("10", "10"), "10.0.0.3": ("31", "")}


def test_a_store_of_an_older_longline_has_none(store: str, tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    path.write_bytes(Path(store.partition(":")[2]).read_bytes())
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE states")
        connection.execute("DROP TABLE events")
    old = f"sqlite:{path}"
    assert rows(old, "outages") == rows(old, "events") == []
    assert len(rows(old, "services")) == 3
    empty = tmp_path / "empty.db"
    sqlite3.connect(empty).close()
    ran = longline("query", "events", "--store", f"sqlite:{empty}")
    assert ran.returncode == 2
    assert "nothing was stored" in ran.stderr


def test_choices() -> None:
    assert tuple(HAPPENED) == CHOICES


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.5, "0s"), (90, "1m 30s"), (3_600, "1h 0m"), (18_720, "5h 12m"), (273_600, "3d 4h")],
)
def test_how_long(seconds: float, text: str) -> None:
    assert lasting(seconds) == text


def test_what_moved_in_words() -> None:
    details = {"thing": "ssh", "hash": "a" * 64, "from": {"ip": "10.0.0.1", "port": 22}}
    assert told({"type": "moved", "details": details}) == f"ssh {'a' * 16} from 10.0.0.1 port 22"
    changed = {"before": "a" * 64, "after": "b" * 64}
    assert told({"type": "certificate_changed", "details": changed}) == f"{'a' * 16} -> {'b' * 16}"
