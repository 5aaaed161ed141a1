"""Filters as typed, documents as shown."""

from __future__ import annotations

import csv
from io import StringIO

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.core.errors import UsageError
from stages.core.outcome import Outcome, Phase
from stages.core.records import Scan
from stages.sink.documents import address_of
from stages.sink.export import export
from stages.sink.history import History
from stages.sink.query import (
    CELL_CHARS,
    COLUMNS,
    cells_of,
    documents,
    filter_of,
    printable,
    reading,
    rows,
    shown,
    time_of,
)
from stages.sink.settings import QuerySettings
from stages.sink.store import APPLIES, Collection, Filter, Store, network_range
from tests.sink.histories import history  # noqa: F401 -- a fixture
from tests.sink.material import T0, banner, certificate, hit, scan, tls, write


def test_a_filter() -> None:
    settings = QuerySettings(ip="10.0.0.0/8", port=443, outcome="ok", scan="s", since="1h", name="WWW.Example", limit=0)
    assert filter_of(settings, Collection.SERVICES, T0) == Filter(
        network_range("10.0.0.0/8"), 443, "ok", "s", T0 - 3_600_000_000, "www.example", None
    )
    assert filter_of(QuerySettings(), Collection.SCANS, T0) == Filter(limit=100)


@pytest.mark.parametrize("collection", list(Collection))
def test_a_filter_that_means_nothing_is_an_error(collection: Collection) -> None:
    given_ = {"ip": "10.0.0.1", "port": 1, "outcome": "ok", "scan": "s", "since": "1h", "name": "n"}
    for key, value in given_.items():
        field = "network" if key == "ip" else key
        settings = QuerySettings(**{key: value})
        if field in APPLIES[collection]:
            assert getattr(filter_of(settings, collection, T0), field) is not None
        else:
            with pytest.raises(UsageError, match=f"--{key}.*means nothing for {collection}"):
                filter_of(settings, collection, T0)


@pytest.mark.parametrize(
    ("given_", "place"),
    [({"ip": "10.0.0.0/99"}, "--ip"), ({"outcome": "fine"}, "--outcome"), ({"since": "soon"}, "--since")],
)
def test_values_that_cannot_be_read(given_: dict[str, str], place: str) -> None:
    with pytest.raises(UsageError, match=place):
        filter_of(QuerySettings(**given_), Collection.SERVICES, T0)  # type: ignore[arg-type]


def test_times() -> None:
    assert time_of(T0) == "2026-11-21T07:00:00.000000Z"
    assert time_of(0) == "1970-01-01T00:00:00.000000Z"
    assert time_of(-(2**62)) == str(-(2**62))
    assert time_of(2**62) == str(2**62)


def test_what_is_shown_is_json() -> None:
    document = {
        "_id": "x",
        "address": b"\0" * 16,
        "origin": b"\0" * 16,
        "ts": 0,
        "data": b"\xff",
        "hit": {"ts": 1, "data": b""},
        "tcp": {"ts": 5, "seq": 1},
        "names": ["a"],
    }
    assert orjson.loads(orjson.dumps(shown(document))) == {
        "_id": "x",
        "ts": "1970-01-01T00:00:00.000000Z",
        "data": "/w==",
        "hit": {"ts": "1970-01-01T00:00:00.000001Z", "data": ""},
        "tcp": {"ts": 5, "seq": 1},
        "names": ["a"],
    }


@given(st.binary(max_size=200))
def test_a_banner_in_a_cell_is_one_short_printable_line(data: bytes) -> None:
    text = printable(data)
    assert len(text) <= CELL_CHARS
    assert text.isprintable()
    if len(data) == 0:
        assert text == ""


def test_escapes() -> None:
    assert printable(b"a\tb\r\n\\\0\x1b[2J\xff") == "a\\tb\\r\\n\\\\\\x00\\x1b[2J\\xff"
    assert printable(b"x" * 60) == "x" * 60
    assert printable(b"x" * 61) == "x" * 59 + "…"


async def test_every_collection_has_its_rows(store: Store) -> None:
    await write(
        store,
        hit(ttl=57, rtt=0.25),
        banner(ts=T0 + 1),
        banner("10.0.0.2", outcome=Outcome.REFUSED, phase=Phase.CONNECT, data=b""),
        tls(ts=T0 + 2, ders=[certificate(), b"bad"]),
        scan("start", T0),
        scan("progress", T0 + 1, position=7),
    )
    table = {}
    for collection in Collection:
        table[collection] = [
            dict(zip(COLUMNS[collection], cells_of(collection, d), strict=True))
            async for d in store.find(collection, Filter())
        ]
        assert all(isinstance(cell, str) for row in table[collection] for cell in row.values())
        assert [orjson.dumps(row) async for row in rows(store, collection, Filter())]
    [service] = table[Collection.SERVICES]
    assert (service["ip"], service["banner"], service["data"], service["tls"]) == (
        "10.0.0.1",
        "ok",
        "SSH-2.0-x\\r\\n",
        "ok",
    )
    assert [row["outcome"] for row in table[Collection.BANNERS]] == ["refused", "ok"]
    assert {row["parsed"] for row in table[Collection.CERTIFICATES]} == {"success", "fail"}
    [one] = table[Collection.SCANS]
    assert (one["state"], one["position"], one["end"]) == ("running", "7", "")
    await write(store, scan("end", T0 + 9, position=9))
    [document] = [d async for d in store.find(Collection.SCANS, Filter())]
    assert cells_of(Collection.SCANS, document)[1] == "ended"
    assert cells_of(Collection.SCANS, document)[-1] == "", "nobody has estimated what it missed"
    said = {"loss": 0.021, "loss_low": 0.0101, "loss_high": 0.0349}
    await write(store, scan("assessed", T0 + 10, counters=said))
    [document] = [d async for d in store.find(Collection.SCANS, Filter())]
    assert document["assessed"]["counters"] == said
    assert cells_of(Collection.SCANS, document)[-1] == "2.1 % (1.0-3.5)"
    assert cells_of(Collection.SCANS, document)[1] == "ended"
    await write(store, scan("assessed", T0 + 11, counters={"loss": None}))
    [document] = [d async for d in store.find(Collection.SCANS, Filter())]
    assert cells_of(Collection.SCANS, document)[-1] == "", "the newest counts"
    await write(store, Scan("of several", T0 + 12, "assessed"))
    several = [d async for d in store.find(Collection.SCANS, Filter(scan="of several"))]
    assert [cells_of(Collection.SCANS, d)[1] for d in several] == ["ended"]


async def test_services_with_their_states(history: History) -> None:  # noqa: F811
    ips = [f"10.0.0.{i}" for i in range(205)]
    await write(history, *[hit(ip) for ip in ips])
    one = {"_id": "10.0.0.7:443/tcp", "ip": "10.0.0.7", "address": address_of("10.0.0.7")[1], "port": 443}
    state = {**one, "transport": "tcp", "shown": {}, "hashes": [], "last_changed": T0 + 5, "last_seen": T0, "row": []}
    await history.keep([{**state, "down_since": T0 + 5, "missing": True}])
    found = [d async for d in documents(history, Collection.SERVICES, Filter())]
    assert [document["ip"] for document in found] == sorted(ips, key=lambda ip: address_of(ip)[1])
    with_states = [document for document in found if "last_changed" in document]
    assert [(d["ip"], d["last_changed"], d["down_since"], d["last_seen"]) for d in with_states] == [
        ("10.0.0.7", T0 + 5, T0 + 5, T0)
    ]
    text = b"".join([chunk async for chunk in export(history, Collection.SERVICES, Filter(), "csv")]).decode()
    assert [row["ip"] for row in csv.DictReader(StringIO(text)) if row["down_since"] == time_of(T0 + 5)] == ["10.0.0.7"]
    assert not any({"shown", "row", "hashes"} & document.keys() for document in found)
    cells = dict(zip(COLUMNS[Collection.SERVICES], cells_of(Collection.SERVICES, with_states[0]), strict=True))
    assert cells["down since"] == cells["last changed"] == time_of(T0 + 5)
    assert len([d async for d in documents(history, Collection.SERVICES, Filter(limit=3))]) == 3


async def test_reading_opens_and_closes(store: Store) -> None:
    async with reading(store) as opened:
        assert await opened.count(Collection.SERVICES) == 0
    await store.open()
