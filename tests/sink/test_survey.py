"""Questions over whole scans, of both stores: held against what is counted by hand over all that is stored."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stages.core.outcome import Outcome, Phase
from stages.core.records import Record
from stages.sink.documents import Document, Observation, answered
from stages.sink.mongo import INDEXES
from stages.sink.mongo_survey import MongoSurvey
from stages.sink.sqlite_survey import SqliteSurvey
from stages.sink.store import Collection, Filter, network_range
from stages.sink.survey import DAY, By, Service, Survey, Tally, Trace, parts, services
from tests.servers.mongo import MongoServer
from tests.sink.material import T0, banner, batch_of, certificate, distinct, hit, records, tls, wipe, write

_NUMBERS = count()
SCANS = ("s1", "s2", "s3")


def mongo_survey(server: MongoServer, driver: str = "motor") -> MongoSurvey:
    options: dict[str, Any] = {}
    if driver == "pymongo":
        from pymongo import AsyncMongoClient

        options["client"] = AsyncMongoClient
    return MongoSurvey(server.url, f"survey{next(_NUMBERS)}", **options)


@pytest.fixture(params=["sqlite", "motor", "pymongo"])
async def survey(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Survey]:
    """Empty, and open."""
    opened: Survey
    if request.param == "sqlite":
        opened = SqliteSurvey(tmp_path / "survey.db")
    else:
        opened = mongo_survey(request.getfixturevalue("mongo_server"), request.param)
    await opened.init(None)
    await opened.open()
    yield opened
    await opened.close()


async def observed(survey: Survey) -> list[Document]:
    kinds = (Collection.HITS, Collection.BANNERS, Collection.TLS)
    return [d for kind in kinds async for d in survey.find(kind, Filter())]


async def by_hand(survey: Survey, by: By, scans: tuple[str, ...], days: bool, since: int | None) -> Counter[Any]:
    """(value, group) -> services, in memory."""
    issuers = {d["_id"]: d.get("issuer") async for d in survey.find(Collection.CERTIFICATES, Filter())}
    seen = set()
    for d in await observed(survey):
        if d["scan"] not in scans or (since is not None and d["ts"] < since):
            continue
        if not answered(Observation.of_document(d)):
            continue
        value: Any
        if by is By.VERSION:
            if "version" not in d:
                continue
            value = d["version"]
        elif by is By.ISSUER:
            if not d.get("chain"):
                continue
            value = issuers.get(d["chain"][0])
        else:
            value = d[str(by)]
        group = d["ts"] - d["ts"] % DAY if days else d["scan"]
        seen.add((value, group, d["address"], d["port"], d["transport"]))
    return Counter((value, group) for value, group, *_ in seen)


async def agree(survey: Survey) -> None:
    for by in By:
        for scans, days, since in ((SCANS, False, None), (SCANS[:1], True, None), (SCANS[1:], False, T0 + 2)):
            rows = [row async for row in survey.tallies(by, scans, days=days, since=since)]
            assert {(r.value, r.group): r.count for r in rows} == await by_hand(survey, by, scans, days, since)
            values = [r.value for r in rows]
            assert len(set(values)) == sum(i == 0 or values[i - 1] != v for i, v in enumerate(values))
    assert await survey.scans_seen() == sorted({d["scan"] for d in await observed(survey)})
    hits = Counter([d["scan"] async for d in survey.find(Collection.HITS, Filter())])
    for scan in (*hits, "of nobody"):
        assert await survey.count_hits(scan) == hits[scan]


async def in_order(survey: Survey, scan: str, **more: Any) -> list[Document]:
    return [o.document() async for o in survey.in_order(scan, **more)]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(given_=st.lists(records(), max_size=20).map(distinct))
async def test_what_is_counted_by_hand(sqlite: SqliteSurvey, motor: MongoSurvey, given_: list[Record]) -> None:
    streams = []
    for survey in (sqlite, motor):
        await wipe(survey)
        await survey.write(batch_of(given_))
        await agree(survey)
        streams.append({scan: [s async for s in services(survey.in_order(scan))] for scan in SCANS})
        for scan in SCANS:
            found = await in_order(survey, scan)
            places = [(d["address"], d["port"]) for d in found]
            assert places == sorted(places)
            assert {d["_id"] for d in found} == {d["_id"] for d in await observed(survey) if d["scan"] == scan}
    assert streams[0] == streams[1]


@pytest.fixture
async def sqlite(tmp_path: Path) -> AsyncIterator[SqliteSurvey]:
    opened = SqliteSurvey(tmp_path / "survey.db")
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
async def motor(mongo_server: MongoServer) -> AsyncIterator[MongoSurvey]:
    opened = mongo_survey(mongo_server)
    await opened.open()
    yield opened
    await opened.close()


async def test_adoption_is_counted(survey: Survey) -> None:
    a, b = certificate("a.example"), certificate("b.example")
    await write(
        survey,
        *(tls(f"10.0.0.{n}", ders=[a], version="TLSv1.2") for n in range(1, 4)),
        tls("10.0.0.1", T0 + DAY, [a], scan="s2"),
        tls("10.0.0.2", T0 + DAY, [b], scan="s2", name="x"),
        tls("10.0.0.2", T0 + DAY, [b], scan="s2", name="y"),
        tls("2001:db8::1", T0 + DAY, [b"junk"], scan="s2", version="SSLv3"),
        tls("10.0.0.9", scan="s2", outcome=Outcome.REFUSED, phase=Phase.CONNECT, version="TLSv1.1"),
    )
    await agree(survey)
    versions = [row async for row in survey.tallies(By.VERSION, SCANS)]
    assert versions == [Tally("SSLv3", "s2", 1), Tally("TLSv1.2", "s1", 3), Tally("TLSv1.3", "s2", 2)]
    issuers = {row.value async for row in survey.tallies(By.ISSUER, SCANS)}
    assert issuers == {None, "CN=a.example", "CN=b.example"}


async def test_one_network_or_port_of_a_scan(survey: Survey) -> None:
    ips = ("::1", "10.0.0.1", "10.0.1.1", "255.0.0.1", "2001:db8::1")
    await write(survey, *(hit(ip, port=port) for ip in reversed(ips) for port in (443, 80)), hit("10.0.0.7", scan="s2"))
    assert [(d["ip"], d["port"]) for d in await in_order(survey, "s1")] == [(ip, p) for ip in ips for p in (80, 443)]
    inside = await in_order(survey, "s1", network=network_range("10.0.0.0/16"), port=80)
    assert [d["ip"] for d in inside] == ["10.0.0.1", "10.0.1.1"]
    six = await in_order(survey, "s1", network=network_range("::/0"), port=80)
    assert [d["ip"] for d in six] == ["::1", "2001:db8::1"]


async def test_more_than_one_page_and_left_in_the_middle(survey: Survey) -> None:
    await write(survey, *(hit(f"10.0.{n >> 8}.{n & 255}") for n in range(1_100)))
    assert len(await in_order(survey, "s1")) == 1_100
    async for _ in survey.in_order("s1"):
        break
    assert sum([row.count async for row in survey.tallies(By.ADDRESS, SCANS)]) == 1_100


async def test_traces_of_a_network(survey: Survey) -> None:
    source = {"ip": "192.0.2.1", "port": 1}
    await write(
        survey,
        hit("10.0.0.1", T0 + 1, vantage="v", source=source),
        hit("10.0.0.2", T0, vantage="v", source=source),
        hit("10.0.0.2", T0 + 9, probe="other"),
        banner("10.0.0.1", T0 + 5, scan="s2"),
        hit("10.0.1.1"),
    )
    assert await survey.traces(network_range("10.0.0.0/24")) == [
        Trace("s1", "hit", "", "", 1, T0 + 9, T0 + 9),
        Trace("s1", "hit", "v", "192.0.2.1", 2, T0, T0 + 1),
        Trace("s2", "banner", "", "", 1, T0 + 5, T0 + 5),
    ]
    assert await survey.traces(network_range("2001:db8::/32")) == []


async def test_a_service_has_what_was_heard_last_of_each_dialogue(survey: Survey) -> None:
    old, new = certificate("old.example"), certificate("new.example")
    await write(
        survey,
        hit(),
        banner(ts=T0 + 3, data=b"later", via="raw", service="ssh"),
        banner(ts=T0, data=b"earlier"),
        banner(ts=T0, data=b"", probe="send", outcome=Outcome.SILENT),
        tls(ts=T0, ders=[old], jarm="j"),
        tls(ts=T0, ders=[new], mode="certificate", fingerprint="f"),
        banner(port=22, outcome=Outcome.REFUSED, phase=Phase.CONNECT, data=b""),
    )
    [service] = [s async for s in services(survey.in_order("s1"))]
    digests = {d["data"]: d["sha256"] async for d in survey.find(Collection.BANNERS, Filter())}
    leaves = {d["mode"]: d["chain"][0] async for d in survey.find(Collection.TLS, Filter())}
    assert service == Service(service.address, "10.0.0.1", 443, "tcp", "", service.facts)
    assert service.facts == {
        ("banner", "wait"): digests[b"later"],
        ("service", "wait"): "ssh",
        ("certificate", "full"): leaves["full"],
        ("version", "full"): "TLSv1.3",
        ("jarm", "full"): "j",
        ("certificate", "certificate"): leaves["certificate"],
        ("version", "certificate"): "TLSv1.3",
        ("fingerprint", "certificate"): "f",
    }


def test_the_parts_of_the_space_are_in_order_and_whole() -> None:
    flat = [int.from_bytes(edge, "big") for part in parts(None) for edge in part]
    assert flat == sorted(flat)
    assert (flat[0], flat[-1]) == (0, 2**128 - 1)
    assert [flat[2] - flat[1], flat[4] - flat[3]] == [1, 1]
    assert parts(network_range("10.0.0.0/8")) == [network_range("10.0.0.0/8")]


def test_the_index_of_a_scan_is_made() -> None:
    assert [key for key, _ in INDEXES["observations"]["scan"]] == ["scan", "address", "port"]
