"""What a filter of certificates costs in SQLite: ranges of indexes, and no scan."""

from __future__ import annotations

from pathlib import Path

import pytest

from stages.proto.x509.hostnames import below
from stages.sink.certificate_rows import CERTIFICATE_COLUMNS, certificate_conditions, read_certificate
from stages.sink.sqlite import SqliteStore, _query
from stages.sink.store import Collection, Filter
from tests.sink.material import certificate, tls, write


@pytest.mark.parametrize(
    ("where", "uses"),
    [
        (Filter(name="a.example"), "SEARCH names USING PRIMARY KEY (reversed=?)"),
        (Filter(below=below("*.example.org")), "SEARCH names USING PRIMARY KEY (reversed>? AND reversed<?)"),
        (Filter(expiring=(0, 1)), "USING INDEX certificates_expiry (<expr>>? AND <expr><?)"),
        (Filter(new_since=1), "USING INDEX certificates_first_seen (first_seen>?)"),
    ],
)
async def test_a_question_is_a_range_of_an_index(tmp_path: Path, where: Filter, uses: str) -> None:
    store = SqliteStore(tmp_path / "x.db")
    await store.open()
    await write(store, *[tls(f"10.0.0.{i}", ders=[certificate(f"h{i}.example")]) for i in range(20)])
    sql, bound, _ = _query(Collection.CERTIFICATES, where)
    with store._connect() as connection:
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", bound)]
    connection.close()
    await store.close()
    assert any(uses in step for step in plan), plan
    assert not any(step.startswith("SCAN certificates") for step in plan), plan


def test_conditions_hold_together() -> None:
    where = Filter(name="a.b", below=("x.", "x/"), issuer="r3", expiring=(1, 2), new_since=3)
    bound = [values for _, values in certificate_conditions(where)]
    assert bound == [("b.a",), ("x.", "x/"), ("r3",), (1, 2), (3,)]
    assert list(certificate_conditions(Filter(port=1))) == []


def test_a_row() -> None:
    row = (b"\xab", 1, 2, '{"size": 3}', b"der", None)
    assert len(row) == len(CERTIFICATE_COLUMNS.split(", "))
    document = {"_id": "ab", "first_seen": 1, "last_seen": 2, "size": 3, "raw": b"der"}
    assert read_certificate(row) == document
    assert read_certificate((*row[:5], '{"at": 1}')) == {**document, "verdicts": {"at": 1}}
