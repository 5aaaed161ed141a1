"""What a filter of certificates costs in SQLite: ranges of indexes, and no scan."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

from stages.proto.x509.hostnames import below
from stages.sink.certificate_rows import CERTIFICATE_COLUMNS, certificate_conditions, read_certificate
from stages.sink.documents import CertificateSeen
from stages.sink.sqlite import SqliteStore, _query
from stages.sink.store import Batch, Collection, Filter
from tests.sink.material import T0, certificate, tls, write


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


async def test_many_that_are_known_and_some_that_are_not(tmp_path: Path) -> None:
    """Whatever part of a statement is missing or was seen before: each moves, and what is not there is named."""
    store = SqliteStore(tmp_path / "x.db")
    await store.open()
    ders = [certificate(f"h{i}.example") for i in range(30)]
    await write(store, *[tls(f"10.0.0.{i}", T0, [der]) for i, der in enumerate(ders)])
    again = [CertificateSeen(sha256(der).hexdigest(), der, T0 - 5 * (i % 2), T0 + i) for i, der in enumerate(ders)]
    strangers = [CertificateSeen("ab" * 32, b"", T0, T0), CertificateSeen("cd" * 32, b"", T0, T0)]
    written = await store.write(Batch(certificates=[*again[:7], *strangers, *again[7:]]))
    assert sorted(written.missing) == ["ab" * 32, "cd" * 32]
    assert written.certificates == 30
    kept = {d["_id"]: d async for d in store.find(Collection.CERTIFICATES, Filter())}
    times = {digest: (d["first_seen"], d["last_seen"]) for digest, d in kept.items()}
    assert times == {c.sha256: (c.first_seen, c.last_seen) for c in again}
    await store.close()
