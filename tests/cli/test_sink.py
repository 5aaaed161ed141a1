"""`longline sink`: making the store, trimming it, storing from a pipe."""

from __future__ import annotations

from pathlib import Path

from stages.core.outcome import Outcome, Phase
from stages.core.records import Banner
from tests.cli.command import longline


def banner(ts: int) -> bytes:
    return Banner("s", ts, "192.0.2.1", 80, Outcome.OK, Phase.READ, probe="wait", data=b"x").dump()


def test_init_may_be_repeated(tmp_path: Path) -> None:
    for _ in range(2):
        ran = longline("sink", "--init", "--store", f"sqlite:{tmp_path}/store.db")
        assert ran.returncode == 0, ran.stderr
        assert ran.stdout


def test_records_from_a_pipe_are_stored_once_and_purged_by_age(tmp_path: Path) -> None:
    url = f"sqlite:{tmp_path}/store.db"
    line = banner(1).decode()
    ran = longline("sink", "--store", url, stdin=f"{line}\n{line}\n")
    assert ran.returncode == 0, ran.stderr
    assert len(longline("query", "banners", "--json", "--store", url).stdout.splitlines()) == 1
    purged = longline("sink", "--purge", "--retention", "1d", "--store", url)
    assert purged.stdout == "1 observations removed\n"
    assert longline("query", "banners", "--json", "--store", url).stdout == ""


def test_purge_needs_an_age(tmp_path: Path) -> None:
    ran = longline("sink", "--purge", "--store", f"sqlite:{tmp_path}/store.db")
    assert ran.returncode == 2
    assert "--retention" in ran.stderr
