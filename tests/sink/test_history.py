"""The history of both stores: one suite, and the same answers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from stages.core.events import Event, EventType, event_id
from stages.sink.documents import Document, address_of, service_id
from stages.sink.erasure import Erasure
from stages.sink.history import APPLIES, APPLIES_TO_OUTAGES, History, event_document, without_time
from stages.sink.store import Collection, Filter, network_range
from tests.sink.histories import history  # noqa: F401 -- a fixture
from tests.sink.material import T0, banner, hit, write


def digest(letter: str) -> str:
    return letter * 64


def state(ip: str = "10.0.0.1", name: str = "", port: int = 443, **more: Any) -> Document:
    text, address = address_of(ip)
    document = {
        "_id": service_id(text, port, "tcp", name),
        "ip": text,
        "address": address,
        "port": port,
        "transport": "tcp",
        "last_changed": T0,
        "last_seen": T0 + 1,
        "shown": {},
        "hashes": [],
        **more,
    }
    return document | ({"name": name} if name else {})


def showing(ip: str, missing: bool = False, **shown: str) -> Document:
    things = {kind: {"hash": one, "since": T0} for kind, one in shown.items()}
    more: Document = {"missing": True} if missing else {}
    return state(ip, shown=things, hashes=sorted(shown.values()), **more)


def event(
    kind: EventType = EventType.SERVICE_UP, ip: str = "10.0.0.1", ts: int = T0, port: int = 443, **more: Any
) -> Event:
    fields: dict[str, Any] = {"scan": "s1", "vantage": "v1", "transport": "tcp", **more}
    number = event_id(kind, ip, port, "tcp", fields.get("name") or "", ts)
    return Event(number, kind, ts=ts, ip=ip, port=port, **fields)


async def all_of(stream: AsyncIterator[Document]) -> list[Document]:
    return [document async for document in stream]


async def test_states_are_kept_and_replaced(history: History) -> None:  # noqa: F811
    await write(history, hit(), hit("10.0.0.2"), hit("2001:db8::1", name="X.example"), hit("10.0.0.9"))
    services = await all_of(history.services())
    assert len(services) == 4
    assert await history.states_of(services) == {}
    row = [{"started": T0, "ended": T0 + 9, "scan": "s", "vantage": "v"}]
    kept = [
        state(), state("10.0.0.2", down_since=T0, missing=True, row=row, tell=["{}"], look=True),
        state("2001:db8::1", "x.example", shown={"banner": {"hash": digest("a"), "how": "", "since": T0, "said": "ü"}}),
    ]  # fmt: skip
    await history.keep(kept)
    assert await history.states_of(services) == {document["_id"]: document for document in kept}
    assert await history.states_of(services[:1]) == {kept[0]["_id"]: kept[0]}
    again = [state("10.0.0.2", last_changed=T0 + 7)]
    await history.keep(again)
    assert (await history.states_of(services))["10.0.0.2:443/tcp"] == again[0]
    assert await all_of(history.down(Filter())) == []
    await history.keep([])


async def test_events_are_stored_once(history: History) -> None:  # noqa: F811
    one = event(details={"down_since": T0 - 5, "until": T0, "last_seen": T0 - 9}, name="x.example")
    moved = event(EventType.MOVED, "2001:db8::1", T0 + 1, details={"from": {"ip": "10.0.0.9", "port": 1}, "hash": "x"})
    await history.tell([one, moved])
    await history.tell([event(scan="another", name="x.example"), event(ts=T0 + 9)])
    await history.tell([])
    told = await all_of(history.events(Filter()))
    assert told[:2] == [event_document(one), event_document(moved)]
    assert [(e["ts"], e["scan"]) for e in told] == [(T0, "s1"), (T0 + 1, "s1"), (T0 + 9, "s1")]
    assert told[0]["name"] == "x.example"
    assert told[1]["origin"] == address_of("10.0.0.9")[1]
    assert "name" not in told[2]


async def test_filters_of_events(history: History) -> None:  # noqa: F811
    ended = {"details": {"down_since": T0, "until": T0 + 2, "last_seen": T0}}
    await history.tell(
        [
            event(),
            event(EventType.SERVICE_DOWN, "10.0.1.1", T0 + 1, scan="s2"),
            event(ip="10.0.1.1", ts=T0 + 2, scan="s2", port=80, **ended),
            event(ip="2001:db8::1", ts=T0 + 3, name="x.example"),
        ]
    )

    async def at(where: Filter, *args: Any, **more: Any) -> list[int]:
        return [document["ts"] - T0 for document in await all_of(history.events(where, *args, **more))]

    assert await at(Filter()) == [0, 1, 2, 3]
    assert await at(Filter(network=network_range("10.0.0.0/16"))) == [0, 1, 2]
    assert await at(Filter(network=network_range("10.0.1.0/24"), port=80)) == [2]
    assert await at(Filter(network=network_range("::/0"))) == [3]
    assert await at(Filter(scan="s2")) == [1, 2]
    assert await at(Filter(since=T0 + 2)) == [2, 3]
    assert await at(Filter(name="x.example")) == [3]
    assert await at(Filter(limit=3)) == [0, 1, 2]
    assert await at(Filter(), EventType.SERVICE_DOWN) == [1]
    assert await at(Filter(), ended=True) == [2]
    assert without_time(Filter(since=5, scan="s", port=7)) == Filter(port=7)
    assert APPLIES_TO_OUTAGES < APPLIES


async def test_what_is_down_the_longest_first(history: History) -> None:  # noqa: F811
    await history.keep(
        [
            state("10.0.0.1", down_since=T0 + 5, missing=True),
            state("10.0.0.2", missing=True),
            state("10.0.1.1", down_since=T0 + 2, missing=True),
            state("2001:db8::1", "x.example", 8443, down_since=T0 + 3, missing=True),
        ]
    )

    async def down(**where: Any) -> list[str]:
        return [document["_id"] for document in await all_of(history.down(Filter(**where)))]

    a, b, c = "10.0.1.1:443/tcp", "[2001:db8::1]:8443/tcp/x.example", "10.0.0.1:443/tcp"
    assert await down() == [a, b, c]
    assert await down(limit=2) == [a, b]
    assert await down(network=network_range("10.0.0.0/24")) == [c]
    assert await down(port=8443) == await down(name="x.example") == [b]


async def test_who_shows_a_hash(history: History) -> None:  # noqa: F811
    a, b, c = digest("a"), digest("b"), digest("c")
    await history.keep(
        [
            showing("10.0.0.1", missing=True, certificate=a, key=b),
            showing("10.0.0.2", certificate=a, ssh=c),
            *(showing(f"10.0.1.{i}", key=c) for i in range(9)),
        ]
    )
    assert await history.lost([a, b, c, digest("d")]) == {a, b}
    assert await history.lost([]) == set()
    assert {document["_id"] for document in await history.showing(a, 9)} == {"10.0.0.1:443/tcp", "10.0.0.2:443/tcp"}
    assert len(await history.showing(c, 4)) == 4
    assert len(await history.showing(c, 99)) == 10
    assert await history.showing(digest("d"), 9) == []
    await history.keep([showing("10.0.0.1", certificate=c)])
    assert await history.lost([a, b, c]) == set()
    assert len(await history.showing(a, 9)) == 1


@pytest.mark.parametrize("network", ["10.0.0.0/24", "2001:db8::/32"])
async def test_what_happened_in_a_network_is_erased_with_it(history: History, network: str) -> None:  # noqa: F811
    places = ["10.0.0.1", "10.0.1.1", "2001:db8::1", "2001:db9::1"]
    await history.keep([state(ip, down_since=T0, missing=True) for ip in places])
    moves = [
        event(EventType.MOVED, "10.9.0.1", T0 + i, details={"from": {"ip": ip, "port": 1}})
        for i, ip in enumerate(places)
    ]
    await history.tell([*moves, *(event(ip=ip) for ip in places)])
    dry = Erasure(network, T0)
    await history.erase(dry, network_range(network), lambda: 1.0, dry=True)
    assert (dry.states, dry.events) == (1, 2)
    assert len(await all_of(history.events(Filter()))) == 8
    done = Erasure(network, T0)
    await history.erase(done, network_range(network), lambda: 1.0)
    assert (done.states, done.events) == (1, 2)
    assert await history.erasures() == [done]
    assert len(await all_of(history.down(Filter()))) == 3
    left = await all_of(history.events(Filter()))
    assert len(left) == 6
    gone = "10.0.0.1" if "." in network else "2001:db8::1"
    assert not any(gone in (e["ip"], e["details"].get("from", {}).get("ip")) for e in left)


async def test_what_is_no_service_any_more_is_forgotten(history: History) -> None:  # noqa: F811
    await write(history, hit("10.0.0.1"), hit("10.0.0.2", name="x.example"))
    await history.keep([state("10.0.0.1"), state("10.0.0.2"), state("10.0.0.2", "x.example"), state("2001:db8::1")])
    moved_ = event(EventType.MOVED, "10.0.0.1", T0 + 5, details={"from": {"ip": "2001:db8::1", "port": 1}})
    told = [event(), event(ip="10.0.0.2"), event(ip="10.0.0.2", name="x.example"), event(ip="2001:db8::1"), moved_]
    await history.tell(told)
    targets = [(e.ip, e.port, e.transport, e.name or "") for e in told]
    assert await history.forget_gone(targets) == 2
    assert await history.forget_gone([]) == 0
    places = [state("10.0.0.1"), state("10.0.0.2"), state("10.0.0.2", "x.example"), state("2001:db8::1")]
    assert set(await history.states_of(places)) == {"10.0.0.1:443/tcp", "10.0.0.2:443/tcp/x.example"}
    left = [(e["ip"], e.get("name")) for e in await all_of(history.events(Filter()))]
    assert sorted(left, key=str) == [("10.0.0.1", None), ("10.0.0.2", "x.example")]


async def test_events_are_forgotten_with_the_observations(history: History) -> None:  # noqa: F811
    await write(history, hit(ts=T0), banner(ts=T0 + 1))
    await history.tell([event(ts=T0), event(ts=T0 + 1)])
    await history.keep([state()])
    assert await history.purge(T0 + 1) == 1
    assert [e["ts"] for e in await all_of(history.events(Filter()))] == [T0 + 1]
    assert len(await history.states_of([state()])) == 1
    assert await history.count(Collection.SERVICES) == 1


async def test_init_keeps_events_as_long_as_observations(history: History) -> None:  # noqa: F811
    for retention in (86_400.0, 3_600.0, 0.0):
        assert await history.init(retention)
