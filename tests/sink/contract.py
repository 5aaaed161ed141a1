"""What every store does. `test_store.py` runs it over all of them."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stages.core.outcome import Outcome, Phase
from stages.core.records import Record
from stages.sink.documents import MAX_DOCUMENT_BYTES, SUMMARY_BYTES, entry
from stages.sink.erasure import Erasure
from stages.sink.stage import gather
from stages.sink.store import Batch, Collection, Filter, Store, count_all, network_range
from tests.sink.material import (
    T0,
    banner,
    batch_of,
    certificate,
    distinct,
    hit,
    records,
    scan,
    snapshot,
    tls,
    wipe,
    write,
)


async def ids(store: Store, collection: Collection, **where: Any) -> list[str]:
    return [d["_id"] async for d in store.find(collection, Filter(**where))]


async def test_an_observation_is_kept_whole(store: Store) -> None:
    record = banner(
        ts=T0 + 1,
        name="Host.Example",
        vantage="v",
        hit="h" * 32,
        errno="ECONNRESET",
        icmp={"type": 3, "code": 1, "responder": "10.9.9.9"},
        first_byte=1,
        ended=2.5,
        sent=3,
        truncated=True,
        data=b"\0\xff\x80line\r\n",
        datagrams=[1, 2],
        service="ssh",
        facts={"id": "SSH-2.0-x", "ciphers": ["aes128-ctr"]},
    )
    written = await write(store, record)
    assert (written.stored, written.repeated, written.services) == (1, 0, 1)
    [document] = [d async for d in store.find(Collection.BANNERS, Filter())]
    assert document == {
        "_id": record.id,
        "kind": "banner",
        "scan": "s1",
        "ts": T0 + 1,
        "ip": "10.0.0.1",
        "address": bytes(10) + b"\xff\xff\x0a\0\0\x01",
        "port": 443,
        "transport": "tcp",
        "name": "host.example",
        "vantage": "v",
        "probe": "wait",
        "via": "connect",
        "outcome": "ok",
        "phase": "read",
        "hit": "h" * 32,
        "errno": "ECONNRESET",
        "icmp": {"type": 3, "code": 1, "responder": "10.9.9.9"},
        "connect": 0.01,
        "first_byte": 1,
        "ended": 2.5,
        "sent": 3,
        "size": 9,
        "truncated": True,
        "sha256": document["sha256"],
        "datagrams": [1, 2],
        "service": "ssh",
        "facts": {"id": "SSH-2.0-x", "ciphers": ["aes128-ctr"]},
        "data": b"\0\xff\x80line\r\n",
    }
    assert type(document["ended"]) is float
    assert type(document["data"]) is bytes


async def test_the_first_stored_stays_and_services_follow_only_it(store: Store) -> None:
    await write(store, banner(ts=T0, data=b"first"))
    before = await snapshot(store)
    written = await write(store, banner(ts=T0 + 50, data=b"second, same id"))
    assert (written.stored, written.repeated) == (0, 1)
    assert await snapshot(store) == before
    [service] = before["services"].values()
    assert (service["last_seen"], service["banner"]["data"]) == (T0, b"first")


async def test_within_one_batch_the_first_stays_too(store: Store) -> None:
    await write(store, banner(ts=T0 + 9, data=b"first"), banner(ts=T0, data=b"second"), banner(ts=T0 + 20))
    [document] = [d async for d in store.find(Collection.BANNERS, Filter())]
    assert document["data"] == b"first"
    [service] = [d async for d in store.find(Collection.SERVICES, Filter())]
    assert (service["first_seen"], service["last_seen"]) == (T0 + 9, T0 + 9)


async def test_a_service_has_the_latest_of_each_kind(store: Store) -> None:
    der = certificate()
    await write(store, hit(ts=T0 + 1), tls(ts=T0 + 3, ders=[der], scan="s2"))
    await write(store, banner(ts=T0 + 9, scan="new", data=b"n" * 999), banner(ts=T0 + 2, scan="old"))
    await write(store, hit(ts=T0, scan="s0", probe="other"), tls(ts=T0 + 2, scan="s1"))
    [service] = [d async for d in store.find(Collection.SERVICES, Filter())]
    assert service["_id"] == "10.0.0.1:443/tcp"
    assert (service["first_seen"], service["last_seen"]) == (T0, T0 + 9)
    assert (service["hit"]["ts"], service["hit"]["scan"]) == (T0 + 1, "s1")
    assert (service["banner"]["ts"], service["banner"]["scan"]) == (T0 + 9, "new")
    assert service["banner"]["data"] == b"n" * SUMMARY_BYTES
    assert service["banner"]["size"] == 999
    assert (service["tls"]["ts"], service["tls"]["version"]) == (T0 + 3, "TLSv1.3")
    assert "name" not in service


async def test_of_one_time_the_greater_id_wins(store: Store) -> None:
    two = sorted([hit(scan="a"), hit(scan="b")], key=lambda h: h.id)
    for record in reversed(two):
        await write(store, record)
    [service] = [d async for d in store.find(Collection.SERVICES, Filter())]
    assert service["hit"]["id"] == two[1].id


async def test_a_failure_makes_and_moves_no_service(store: Store) -> None:
    await write(store, banner(outcome=Outcome.REFUSED, phase=Phase.CONNECT, data=b""))
    assert await store.count(Collection.SERVICES) == 0
    await write(store, hit(ts=T0))
    await write(store, banner(scan="s2", ts=T0 + 5, outcome=Outcome.TIMEOUT, phase=Phase.CONNECT, data=b""))
    [service] = [d async for d in store.find(Collection.SERVICES, Filter())]
    assert service["last_seen"] == T0
    assert "banner" not in service
    assert await store.count(Collection.BANNERS) == 2


async def test_a_certificate_is_kept_once(store: Store) -> None:
    good, bad = certificate(), b"\x30\x82no certificate"
    await write(store, tls("10.0.0.1", T0 + 5, [good, bad]), tls("10.0.0.2", T0 + 1, [good]))
    await write(store, tls("10.0.0.3", T0 + 9, [good]))
    kept = {d["parse_status"]: d async for d in store.find(Collection.CERTIFICATES, Filter())}
    assert kept["success"]["raw"] == good
    assert (kept["success"]["first_seen"], kept["success"]["last_seen"]) == (T0 + 1, T0 + 9)
    assert kept["success"]["names"] == ["b.test", "www.example.com"]
    assert kept["success"]["serial"] == "7"
    assert kept["fail"]["raw"] == bad
    assert kept["fail"]["error"]
    assert await store.count(Collection.CERTIFICATES) == 2


async def test_a_certificate_known_to_be_stored_moves_only_its_times(store: Store) -> None:
    await write(store, tls(ts=T0, ders=[certificate()]))
    batch = gather([entry(tls("10.0.0.2", T0 + 7, [certificate()]))])
    assert batch.certificates[0].fields is None
    written = await store.write(batch)
    assert (written.certificates, written.missing) == (1, [])
    [kept] = [d async for d in store.find(Collection.CERTIFICATES, Filter())]
    assert (kept["last_seen"], kept["parse_status"]) == (T0 + 7, "success")


async def test_a_certificate_thought_to_be_stored_is_missed(store: Store) -> None:
    batch = gather([entry(tls(ders=[certificate()]))])
    written = await store.write(batch)
    assert written.missing == [batch.certificates[0].sha256]
    assert await store.count(Collection.CERTIFICATES) == 0


async def test_a_scan_has_its_first_start_and_its_latest_end(store: Store) -> None:
    start = scan("start", T0, spec={"targets": ["10.0.0.0/8"], "seed": 2**63, "10.0.0.0/8": "lifted", "none": None})
    await write(store, scan("progress", T0 + 5, position=50), scan("end", T0 + 9, counters={"sent": 1}))
    await write(store, scan("start", T0 + 6, spec={"resumed": True}), start)
    await write(store, scan("progress", T0 + 3, position=30), scan("end", T0 + 8, counters={"sent": 0}))
    [document] = [d async for d in store.find(Collection.SCANS, Filter())]
    assert document["_id"] == "s1"
    assert (document["first_seen"], document["last_seen"]) == (T0, T0 + 9)
    assert document["start"] == {
        "ts": T0,
        "id": start.id,
        "spec": {"targets": ["10.0.0.0/8"], "seed": str(2**63), "10.0.0.0/8": "lifted"},
    }
    assert document["progress"]["position"] == 50
    assert document["end"]["counters"] == {"sent": 1}


async def test_what_is_too_large_is_rejected_and_the_rest_written(store: Store) -> None:
    huge = banner("10.0.0.9", data=bytes(MAX_DOCUMENT_BYTES))
    written = await write(store, hit(), huge, banner())
    assert list(written.rejected) == [huge.id]
    assert "at most" in written.rejected[huge.id]
    assert written.stored == 2
    assert await ids(store, Collection.SERVICES) == ["10.0.0.1:443/tcp"]


async def test_an_empty_batch_is_written(store: Store) -> None:
    assert (await store.write(Batch())).documents == 0


async def test_init_again_and_again(store: Store) -> None:
    assert await store.init(None)
    assert await store.init(86_400.0)
    assert await store.init(3_600.0)
    await write(store, hit())
    assert await store.init(0)
    assert await store.count(Collection.HITS) == 1


async def test_purge_forgets_old_observations_only(store: Store) -> None:
    await write(store, hit(ts=T0), banner(ts=T0 + 1), hit("10.0.0.2", T0 + 2), tls(ts=T0, ders=[b"x"]))
    assert await store.purge(T0 + 1) == 2
    assert await store.purge(T0 + 1) == 0
    counts = await count_all(store)
    assert counts == {"services": 2, "hits": 1, "banners": 1, "tls": 0, "certificates": 1, "scans": 0}


@pytest.mark.parametrize("network", ["10.0.0.0/24", "2001:db8::/32", "10.0.0.1"])
async def test_erasing_a_network_leaves_what_was_never_in_it(store: Store, network: str) -> None:
    inside = {"10.0.0.0/24": ["10.0.0.1", "10.0.0.255"], "2001:db8::/32": ["2001:db8::1"], "10.0.0.1": ["10.0.0.1"]}
    addresses = ["10.0.0.1", "10.0.0.255", "10.0.1.0", "9.255.255.255", "2001:db8::1", "2001:db9::1"]
    certificates = {ip: certificate(f"at{at}.example") for at, ip in enumerate(addresses)}

    def everything(ips: list[str]) -> list[Record]:
        more = [(hit(ip, scan=s), banner(ip, T0 + 1, scan=s)) for ip in ips for s in ("s1", "s2")]
        return [*(one for two in more for one in two), *(tls(ip, T0 + 2, [certificates[ip]]) for ip in ips)]

    await write(store, *everything(addresses))
    before = await snapshot(store)
    dry = Erasure(network, T0, "asked to")
    await store.erase(dry, network_range(network), lambda: T0 / 1e6, dry=True)
    assert await snapshot(store) == before
    assert await store.erasures() == []
    erasure = Erasure(network, T0, "asked to")
    await store.erase(erasure, network_range(network), lambda: T0 / 1e6 + 1)
    gone = len(inside[network])
    assert (erasure.observations, erasure.services, erasure.ended) == (5 * gone, gone, T0 + 1_000_000)
    assert (dry.observations, dry.services) == (erasure.observations, erasure.services)
    assert await store.erasures() == [erasure]
    after = await snapshot(store)
    await wipe(store)
    await write(store, *everything([ip for ip in addresses if ip not in inside[network]]))
    wanted = await snapshot(store)
    wanted["certificates"] = before["certificates"]  # they hold no address
    assert after == wanted


async def test_erasing_nothing_is_recorded_too(store: Store) -> None:
    for at in (T0, T0 + 1):
        await store.erase(Erasure("10.0.0.0/8", at), network_range("10.0.0.0/8"), lambda: 1.0)
    assert [(e.at, e.observations, e.services, e.sightings, e.ended) for e in await store.erasures()] == [
        (T0, 0, 0, 0, 1_000_000), (T0 + 1, 0, 0, 0, 1_000_000),
    ]  # fmt: skip


async def test_filters(store: Store) -> None:
    await write(
        store,
        hit("10.0.0.1", T0),
        hit("10.0.1.1", T0 + 1, scan="s2", port=80),
        hit("2001:db8::1", T0 + 2, name="V6.example"),
        hit("2001:db9::1", T0 + 3),
        banner("10.0.0.1", T0 + 4),
        banner("10.0.1.1", T0 + 5, outcome=Outcome.EMPTY, port=80, data=b""),
        tls("10.0.0.1", T0 + 6, [certificate("one.example")], outcome=Outcome.ALERT),
        scan("start", T0, scan="s1"),
        scan("end", T0 + 50, scan="s2"),
    )
    a, b, c, d = "10.0.0.1:443/tcp", "10.0.1.1:80/tcp", "[2001:db8::1]:443/tcp/v6.example", "[2001:db9::1]:443/tcp"
    services = Collection.SERVICES
    assert sorted(await ids(store, services)) == sorted([a, b, c, d])
    for text, expected in {
        "10.0.0.0/8": [a, b],
        "10.0.1.0/24": [b],
        "10.0.0.1": [a],
        "0.0.0.0/0": [a, b],
        "::/0": [c, d],
        "2001:db8::/32": [c],
        "::ffff:10.0.0.0/120": [a],
        "192.0.2.0/24": [],
    }.items():
        assert await ids(store, services, network=network_range(text)) == expected, text
    assert await ids(store, services, port=80) == [b]
    assert await ids(store, services, outcome="empty") == [b]
    assert await ids(store, services, outcome="alert") == [a]
    assert await ids(store, services, scan="s2") == [b]
    assert await ids(store, services, since=T0 + 5) == [a, b]
    assert await ids(store, services, name="v6.example") == [c]
    assert await ids(store, services, network=network_range("10.0.0.0/8"), limit=1) == [a]
    assert await ids(store, services, network=network_range("10.0.0.0/8"), outcome="ok", port=443) == [a]
    assert len(await ids(store, Collection.HITS, scan="s1")) == 3
    assert len(await ids(store, Collection.HITS, since=T0 + 2)) == 2
    assert len(await ids(store, Collection.HITS, network=network_range("2001:db8::/31"))) == 2
    assert len(await ids(store, Collection.BANNERS, outcome="empty")) == 1
    assert len(await ids(store, Collection.TLS, outcome="alert", port=443)) == 1
    assert len(await ids(store, Collection.TLS, outcome="ok")) == 0
    assert len(await ids(store, Collection.CERTIFICATES, name="one.example")) == 1
    assert len(await ids(store, Collection.CERTIFICATES, name="two.example")) == 0
    assert len(await ids(store, Collection.CERTIFICATES, since=T0 + 7)) == 0
    assert await ids(store, Collection.SCANS) == ["s1", "s2"]
    assert await ids(store, Collection.SCANS, scan="s2") == ["s2"]
    assert await ids(store, Collection.SCANS, since=T0 + 1) == ["s2"]


async def test_order_and_more_than_one_page(store: Store) -> None:
    many = [hit(f"10.0.{i >> 8}.{i & 255}", T0 + 5000 - i) for i in range(1_203)]
    random.Random(4).shuffle(many)
    await write(store, *many)
    addresses = [d["address"] async for d in store.find(Collection.SERVICES, Filter())]
    assert len(addresses) == 1_203
    assert addresses == sorted(addresses)
    times = [d["ts"] async for d in store.find(Collection.HITS, Filter(limit=700))]
    assert times == list(range(T0 + 5000 - 1_202, T0 + 5000 - 1_202 + 700))


async def test_reading_may_be_left_in_the_middle(store: Store) -> None:
    await write(store, *[hit(f"10.0.0.{i}") for i in range(9)])
    reader = store.find(Collection.HITS, Filter())
    assert (await anext(reader))["kind"] == "hit"
    await reader.aclose()  # type: ignore[attr-defined]
    assert await store.count(Collection.HITS) == 9


@pytest.mark.parametrize("key", ["a.b", ".", "x y", "ü", "a$"])
async def test_keys_of_free_objects(store: Store, key: str) -> None:
    await write(store, hit(tcp={key: 1}))
    [document] = [d async for d in store.find(Collection.HITS, Filter())]
    assert document["tcp"] == {key: 1}


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(given_=st.lists(records(), max_size=14).map(distinct), data=st.data())
async def test_any_order_and_repetition_gives_the_same(store: Store, given_: list[Record], data: st.DataObject) -> None:
    await wipe(store)
    for record in given_:
        await store.write(batch_of([record]))
    once = await snapshot(store)
    await wipe(store)
    shuffled = data.draw(st.permutations(given_))
    again = data.draw(st.lists(st.sampled_from(given_), max_size=8)) if given_ else []
    rest = [*shuffled, *again]
    while rest:
        size = data.draw(st.integers(1, 8))
        part, rest = rest[:size], rest[size:]
        await store.write(batch_of(part))
    assert await snapshot(store) == once
