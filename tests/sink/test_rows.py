"""Documents as rows."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from stages.core.outcome import Outcome, Phase
from stages.core.records import Record
from stages.sink.documents import Observation, entry, fold_services
from stages.sink.rows import long, packed, prepared, service_rows, short
from tests.sink.material import T0, banner, distinct, hit, records, tls


def observations(*some: Record) -> list[Observation]:
    return [o for record in some if (o := entry(record).observation) is not None]


def test_addresses_in_rows() -> None:
    for address, length in ((bytes(10) + b"\xff\xff\x0a\0\0\1", 4), (bytes(16), 16), (b"\x20\x01" + bytes(14), 16)):
        assert len(short(address)) == length
        assert long(short(address)) == address


@given(st.text("0123456789abcdefABC", max_size=40) | st.binary(min_size=16, max_size=16).map(bytes.hex))
def test_a_packed_id_is_the_id(record_id: str) -> None:
    short_id = packed(record_id)
    assert (short_id.hex() if isinstance(short_id, bytes) else short_id) == record_id


def test_the_row_of_an_observation() -> None:
    [o] = observations(banner(ts=T0 + 1, name="A.example", data=b"x\0"))
    row, said, size = prepared(o)
    assert row[:8] == (bytes.fromhex(o.id), "banner", "s1", T0 + 1, b"\x0a\0\0\1", 443, "tcp", "a.example")
    assert row[9] == b"x\0"
    assert size == len(row[8]) + 2
    assert said is not None
    assert said[:2] == (T0 + 1, o.id)


def test_a_failure_moves_no_service() -> None:
    [o] = observations(banner(outcome=Outcome.REFUSED, phase=Phase.CONNECT, data=b""))
    assert prepared(o).said is None
    assert service_rows([prepared(o)]).rows == {}


def test_what_is_said_of_one_service_is_one_row() -> None:
    some = observations(banner(ts=T0 + 5, data=b"b"), hit(ts=T0), tls(ts=T0 + 9), hit("10.0.0.0", T0 + 3))
    moved = service_rows(map(prepared, some))
    assert moved.updates == 4
    assert set(moved.rows) == {("banner", "hit", "tls"), ("hit",)}
    [row] = moved.rows["banner", "hit", "tls"]
    assert row[:6] == (b"\x0a\0\0\1", 443, "tcp", "", T0, T0 + 9)
    assert [row[6], row[9], row[10], row[13]] == [T0 + 5, b"b", T0, T0 + 9]


def test_rows_are_in_the_order_of_their_address() -> None:
    some = observations(*[hit(f"10.0.{i % 7}.{i}") for i in range(60)], hit("2001:db8::1"))
    moved = service_rows(map(prepared, some))
    addresses = [row[0] for row in moved.rows["hit",]]
    assert len(addresses) == 61
    assert addresses == sorted(addresses)


@given(st.lists(records(), max_size=20).map(distinct))
def test_each_update_is_in_one_row(some: list[Record]) -> None:
    observed = observations(*some)
    updates = fold_services(observed)
    moved = service_rows(map(prepared, observed))
    assert moved.updates == len(updates) == sum(len(kinds) * len(rows) for kinds, rows in moved.rows.items())
    for update in updates:
        o = update.newest
        key = (short(o.address), o.port, o.transport, o.name)
        [(kinds, row)] = [(kinds, r) for kinds, rows in moved.rows.items() for r in rows if r[:4] == key]
        assert row[4] <= update.first_seen <= update.last_seen <= row[5]
        assert prepared(o).said == of_kind(row, kinds, o.kind)


def of_kind(row: tuple[Any, ...], kinds: tuple[str, ...], kind: str) -> tuple[Any, ...]:
    start = 6 + sum(3 + (other == "banner") for other in kinds if other < kind)
    return row[start : start + 3 + (kind == "banner")]
