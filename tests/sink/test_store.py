"""The contract of a store, over SQLite, MongoDB by motor, and MongoDB by PyMongo; and that they agree."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stages.core.errors import UsageError
from stages.core.records import Record
from stages.sink.mongo import MongoStore
from stages.sink.sqlite import SqliteStore
from stages.sink.store import Written, network_range, ranges
from tests.sink.contract import *  # noqa: F403
from tests.sink.material import batch_of, distinct, records, snapshot, wipe


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(given_=st.lists(records(), max_size=14).map(distinct))
async def test_the_stores_hold_identical_documents(
    sqlite_store: SqliteStore, motor_store: MongoStore, given_: list[Record]
) -> None:
    for store in (sqlite_store, motor_store):
        await wipe(store)
        for i in range(0, len(given_), 5):
            await store.write(batch_of(given_[i : i + 5]))
    assert await snapshot(sqlite_store) == await snapshot(motor_store)


def test_documents_of_a_batch() -> None:
    assert Written(stored=5, repeated=9, services=4, certificates=3, scans=2).documents == 14


@pytest.mark.parametrize("text", ["", "10.0.0", "10.0.0.0/33", "x", "::1/129"])
def test_no_network(text: str) -> None:
    with pytest.raises(UsageError, match="--ip"):
        network_range(text)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("10.0.0.0/8", ["10.0.0.0/8"]),
        ("0.0.0.0/0", ["0.0.0.0/0"]),
        ("2001:db8::/32", ["2001:db8::/32"]),
        ("::ffff:0:0/96", ["0.0.0.0/0"]),
    ],
)
def test_ranges_of_one_family(text: str, parts: list[str]) -> None:
    assert ranges(network_range(text)) == [network_range(part) for part in parts]


def test_all_of_ipv6_is_not_ipv4() -> None:
    below, above = ranges(network_range("::/0"))
    assert below == (bytes(16), bytes.fromhex("00000000000000000000fffeffffffff"))
    assert above == (bytes.fromhex("00000000000000000001000000000000"), b"\xff" * 16)
