"""The tables: made once, never by an older program over a newer one's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from stages.core.errors import UsageError
from stages.core.sqlitefile import SqliteFile
from stages.proto.x509.hostnames import reverse
from stages.sink.migrations import MIGRATIONS, PART


def test_every_step_runs_and_again_does_nothing(tmp_path: Path) -> None:
    file = SqliteFile.open(tmp_path / "x.db")
    try:
        for _ in range(2):
            file.migrate(PART, MIGRATIONS)
        names = {row[0] for row in file.read_sync(lambda c: c.execute("SELECT name FROM sqlite_master").fetchall())}
    finally:
        file.close()
    assert {"services", "observations", "certificates", "names", "sightings", "jobs", "scans"} <= names


def test_from_each_version_to_the_newest(tmp_path: Path) -> None:
    """They all come to the same tables."""
    schemas = []
    for version in range(len(MIGRATIONS)):
        file = SqliteFile.open(tmp_path / f"{version}.db")
        try:
            file.migrate(PART, MIGRATIONS[:version])
            file.migrate(PART, MIGRATIONS)
            asked = "SELECT type, name, sql FROM sqlite_master ORDER BY type, name"
            schemas.append(file.read_sync(lambda c: c.execute(asked).fetchall()))  # noqa: B023
        finally:
            file.close()
    assert len(schemas[0]) > 10
    assert all(schema == schemas[0] for schema in schemas)


def test_observations_of_an_older_file_are_kept_and_stay_unique(tmp_path: Path) -> None:
    file = SqliteFile.open(tmp_path / "x.db")
    try:
        file.migrate(PART, MIGRATIONS[:2])
        insert = "INSERT OR IGNORE INTO observations VALUES (x'01', 'hit', 's', 5, x'0a000001', 443, 'tcp', '', '', '')"
        assert file.write_sync(lambda c: c.execute(insert).rowcount) == 1
        file.migrate(PART, MIGRATIONS)
        assert file.write_sync(lambda c: c.execute(insert).rowcount) == 0
        assert file.read_sync(lambda c: c.execute("SELECT count(*) FROM observations").fetchone()) == (1,)
    finally:
        file.close()


def test_a_newer_file_is_refused(tmp_path: Path) -> None:
    file = SqliteFile.open(tmp_path / "x.db")
    try:
        file.migrate(PART, [*MIGRATIONS, "CREATE TABLE later (x)"])
        with pytest.raises(UsageError, match="newer"):
            file.migrate(PART, MIGRATIONS)
    finally:
        file.close()


def test_statements_can_be_split_at_semicolons() -> None:
    for script in MIGRATIONS:
        assert all(re.match(r"\s*(CREATE|INSERT|DROP|ALTER) ", statement) for statement in script.split(";"))


def test_names_that_were_stored_are_turned_round(tmp_path: Path) -> None:
    file = SqliteFile.open(tmp_path / "x.db")
    try:
        file.migrate(PART, MIGRATIONS[:2])
        rows = [(name, b"h") for name in ("www.example.org", "localhost", "*.a.b.c", "", "a..b")]
        file.write_sync(lambda c: c.executemany("INSERT INTO certificate_names VALUES (?, ?)", rows).rowcount)
        file.migrate(PART, MIGRATIONS)
        found = {row[0] for row in file.read_sync(lambda c: c.execute("SELECT reversed FROM names").fetchall())}
    finally:
        file.close()
    assert found == {reverse(name) for name, _ in rows}
