"""The job over real stores: what it decides, tells and keeps, wherever it was killed."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from stages.core.errors import Unavailable
from stages.core.events import Event
from stages.core.records import Record
from stages.derive import assess as job
from stages.derive.assess import Summary, assess
from stages.derive.availability import Rules, Swept
from stages.sink.documents import address_of
from stages.sink.erasure import Erasure
from stages.sink.history import History
from stages.sink.store import Collection, Filter, network_range
from tests.certificates.zoo import leaf
from tests.derive.sweeps import at, swept
from tests.sink.histories import history  # noqa: F401 -- a fixture
from tests.sink.material import banner, hit, tls, wipe, write

RULES = Rules(misses=2, vantages=2)


class Told:
    """What was published."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    async def __call__(self, events: Sequence[Event]) -> None:
        self.events += events

    @property
    def new(self) -> list[tuple[str, str]]:
        """(type, address) of what came since the last call."""
        taken, self.events = self.events, []
        return sorted((str(event.type), event.ip) for event in taken)


async def everything(history: History) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:  # noqa: F811
    """All states and events."""
    services = [service async for service in history.services()]
    states = await history.states_of(services)
    return [states[key] for key in sorted(states)], [event async for event in history.events(Filter())]


async def seen(history: History, scan: str, minutes: float, *ips: str) -> None:  # noqa: F811
    await write(history, *[hit(ip, at(minutes), scan=scan) for ip in ips])


async def test_a_life(history: History) -> None:  # noqa: F811
    told = Told()
    await seen(history, "a", 1, "10.0.0.1", "10.0.0.2", "2001:db8::1")
    summary = await assess(history, swept(0), RULES, told)
    assert summary == Summary(services=3, events={"service_up": 3})
    assert len(told.new) == 3
    await seen(history, "b", 11, "10.0.0.1", "2001:db8::1")
    assert await assess(history, swept(10), RULES, told) == Summary(services=3, missed=1, missing=1)
    await seen(history, "c", 21, "10.0.0.1", "2001:db8::1")
    summary = await assess(history, swept(20, "v2"), RULES, told)
    assert summary == Summary(services=3, missed=1, missing=1, down=1, events={"service_down": 1})
    assert told.new == [("service_down", "10.0.0.2")]
    [down] = [state async for state in history.down(Filter())]
    assert (down["ip"], down["down_since"], down["last_seen"]) == ("10.0.0.2", at(10), at(1))
    assert await assess(history, swept(20, "v2"), RULES, told) == Summary(services=3, missed=1, missing=1, down=1)
    await seen(history, "d", 31, "10.0.0.1", "10.0.0.2", "2001:db8::1")
    summary = await assess(history, swept(30), RULES, told)
    assert summary == Summary(services=3, events={"service_up": 1})
    assert told.new == [("service_up", "10.0.0.2")]
    [ended] = [event async for event in history.events(Filter(), ended=True)]
    assert ended["details"] == {"down_since": at(10), "until": at(31), "last_seen": at(1)}
    assert [state async for state in history.down(Filter())] == []


async def test_what_a_sweep_did_not_cover_is_not_missed(history: History) -> None:  # noqa: F811
    told = Told()
    await seen(history, "a", 1, "10.0.0.1", "10.0.1.1")
    await assess(history, swept(0), RULES, told)
    first = address_of("10.0.0.255")[1]
    for minutes, vantage in ((10, "v1"), (20, "v2"), (30, "v1")):
        await assess(history, swept(minutes, vantage, covers=lambda a, p, t: a <= first), RULES, told)
        await assess(history, swept(minutes + 1, vantage, healthy=False), RULES, told)
    assert [state["ip"] async for state in history.down(Filter())] == ["10.0.0.1"]


async def test_nothing_is_written_for_a_service_that_stays(
    history: History, monkeypatch: pytest.MonkeyPatch  # noqa: F811
) -> None:  # fmt: skip
    await seen(history, "a", 1, "10.0.0.1")
    await assess(history, swept(0), RULES, Told())
    await seen(history, "b", 11, "10.0.0.1")

    async def never(*_: object) -> None:
        raise AssertionError("written")

    monkeypatch.setattr(history, "keep", never)
    monkeypatch.setattr(history, "tell", never)
    assert await assess(history, swept(10), RULES, Told()) == Summary(services=1)


async def test_late_banners_and_certificates_are_seen_by_the_next(history: History) -> None:  # noqa: F811
    told = Told()
    one, other = leaf("one.example").der, leaf("other.example").der
    await write(history, banner(ts=at(1), data=b"SSH-2.0-a\r\n"), tls(ts=at(1), ders=[one]))
    await assess(history, swept(0), RULES, told)
    await seen(history, "b", 11, "10.0.0.1")
    await assess(history, swept(10), RULES, told)
    assert told.new == [("service_up", "10.0.0.1")]
    late = {"scan": "b", "ts": at(11)}
    await write(history, banner(**late, data=b"SSH-2.0-b\r\n"), tls(**late, ders=[other]))  # type: ignore[arg-type]
    await assess(history, swept(20), RULES, told)
    assert told.new == [("banner_changed", "10.0.0.1"), ("certificate_changed", "10.0.0.1")]
    [state], _ = await everything(history)
    assert state["last_changed"] == at(11)


KEY = "5" * 64


def _tls(ip: str, minutes: float, scan: str, name: str = "m.example") -> list[Record]:
    return [hit(ip, at(minutes), scan=scan), tls(ip, at(minutes), [leaf(name).der], scan=scan)]


def _ssh(ip: str, minutes: float, scan: str) -> list[Record]:
    facts = {"fingerprint": KEY}
    return [banner(ip, at(minutes), scan=scan, port=22, service="ssh", facts=facts)]


@pytest.mark.parametrize("shows", [_tls, _ssh], ids=["certificate", "host key"])
@pytest.mark.parametrize(("old", "new"), [("10.0.0.1", "10.0.9.1"), ("10.0.9.1", "10.0.0.1")])
async def test_moved_whichever_comes_first(history: History, old: str, new: str, shows: Any) -> None:  # noqa: F811
    told = Told()
    await write(history, *shows(old, 1, "a"))
    await assess(history, swept(0), RULES, told)
    await write(history, *shows(new, 11, "b"))
    await assess(history, swept(10), RULES, told)
    moved = [event for event in told.events if event.type == "moved"]
    assert [(event.ip, event.details["from"]["ip"], event.ts) for event in moved] == [(new, old, at(11))]
    assert moved[0].details["thing"] == ("certificate" if shows is _tls else "ssh")
    assert moved[0].details["last_seen"] == at(1)
    told.events.clear()
    await write(history, *shows(new, 21, "c"))
    await assess(history, swept(20), RULES, told)
    assert told.new == [], "told once"


async def test_the_new_place_is_seen_long_before_the_old_one_is_missed(history: History) -> None:  # noqa: F811
    told = Told()
    await write(history, *_tls("10.0.0.1", 1, "a"))
    await assess(history, swept(0), RULES, told)
    await write(history, *_tls("10.0.9.1", 11, "b"))
    await assess(history, swept(10, covers=lambda *target: False), RULES, told)
    assert not any(event.type == "moved" for event in told.events)
    await seen(history, "c", 21, "10.0.9.1")
    await assess(history, swept(20), RULES, told)
    assert ("moved", "10.0.9.1") in told.new


async def test_what_others_show_too_has_not_moved(history: History) -> None:  # noqa: F811
    told = Told()
    await write(history, *_tls("10.0.0.1", 1, "a"), *_tls("10.0.0.2", 1, "a"))
    await assess(history, swept(0), RULES, told)
    await write(history, *_tls("10.0.0.2", 11, "b"), *_tls("10.0.0.3", 11, "b"))
    await assess(history, swept(10), RULES, told)
    assert not any(event.type == "moved" for event in told.events)


class Killed(Exception):
    """In the middle."""


class Mortal:
    """A history that dies at its n-th writing, before or after it was done."""

    def __init__(self, history: History, steps: int, after: bool) -> None:  # noqa: F811
        self._history = history
        self._left = steps
        self._after = after

    def __getattr__(self, name: str) -> Any:
        inner = getattr(self._history, name)
        return self._dying(inner) if name in ("keep", "tell") else inner

    def _dying(self, inner: Any) -> Any:
        async def write_(documents: Any) -> None:
            self._left -= 1
            if self._left == 0 and not self._after:
                raise Killed
            await inner(documents)
            if self._left == 0:
                raise Killed

        return write_


def _world() -> list[tuple[Swept, list[Record]]]:
    """Sweeps, each with what is stored before it is assessed."""
    many = [f"10.0.{i}.1" for i in range(7)]
    first = [record for ip in many for record in _tls(ip, 1, "a", f"n{ip[5]}.example")]
    second = [hit(ip, at(11), scan="b") for ip in many[:3]] + _tls("10.9.0.1", 11, "b", "n6.example")
    third = [hit(ip, at(21), scan="c") for ip in (*many[:2], "10.9.0.1")]
    fourth = [hit(ip, at(31), scan="d") for ip in (*many, "10.9.0.1")]
    return [(swept(0), first), (swept(10), second), (swept(20, "v2"), third), (swept(30), fourth)]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_killed_at_any_writing_and_run_again(
    history: History, after: bool, monkeypatch: pytest.MonkeyPatch  # noqa: F811
) -> None:  # fmt: skip
    """What the stores hold at the end, and what was told, is what an undisturbed run gives."""
    monkeypatch.setattr(job, "PAGE", 3)
    world = _world()
    calm = Told()
    for sweep, records in world:
        await write(history, *records)
        await assess(history, sweep, RULES, calm)
    wanted = await everything(history)
    assert {event["type"] for event in wanted[1]} == {"service_up", "service_down", "moved"}
    await wipe(history)
    told, deaths = Told(), 0
    for sweep, records in world:
        await write(history, *records)
        steps = 1
        while True:
            try:
                await assess(Mortal(history, steps, after), sweep, RULES, told)  # type: ignore[arg-type]
                break
            except Killed:
                deaths += 1
                steps += 1
    assert deaths > 8
    assert await everything(history) == wanted
    assert {event.id for event in told.events} == {event.id for event in calm.events}


async def test_what_was_decided_is_told_even_if_it_is_over_meanwhile(history: History) -> None:  # noqa: F811
    """Killed between the decision and the telling; before the next run a late record shows the service again."""
    await seen(history, "a", 1, "10.0.0.1")
    await assess(history, swept(0), Rules(1, 1), Told())

    async def unreachable(_: Sequence[Event]) -> None:
        raise Unavailable("no broker")

    with pytest.raises(Unavailable):
        await assess(history, swept(10), Rules(1, 1), unreachable)
    await seen(history, "b", 12, "10.0.0.1")
    told = Told()
    await assess(history, swept(10), Rules(1, 1), told)
    assert told.new == [("service_down", "10.0.0.1"), ("service_up", "10.0.0.1")]
    [state], events = await everything(history)
    assert "tell" not in state
    assert [event["type"] for event in events] == ["service_up", "service_down", "service_up"]


async def test_a_service_that_is_erased_while_it_is_judged(history: History) -> None:  # noqa: F811
    await seen(history, "a", 1, "10.0.0.1", "10.0.1.1")
    erasure = Erasure("10.0.0.0/24", at(2))

    async def erasing(_: Sequence[Event]) -> None:
        await history.erase(erasure, network_range("10.0.0.0/24"), lambda: 1.0)

    await assess(history, swept(0), RULES, erasing)
    assert (erasure.services, erasure.states, erasure.events) == (1, 1, 1)
    left = Erasure("10.0.0.0/24", at(3))
    await history.erase(left, network_range("10.0.0.0/24"), lambda: 1.0, dry=True)
    assert (left.observations, left.services, left.states, left.events) == (0, 0, 0, 0)
    assert len((await everything(history))[0]) == 1


async def test_stopped_between_pages(history: History, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setattr(job, "PAGE", 2)
    await seen(history, "a", 1, *(f"10.0.0.{i}" for i in range(7)))
    summary = await assess(history, swept(0), RULES, Told(), stop=lambda: True)
    assert (summary.services, summary.stopped) == (2, True)
    told = Told()
    summary = await assess(history, swept(0), RULES, told)
    assert (summary.services, summary.stopped, len(told.events)) == (7, False, 5)


async def test_states_equal_the_truth_of_a_simulated_week(history: History) -> None:  # noqa: F811
    """Services that go and come as a seeded coin says, probed every hour from two places, one of them often ill:
    outages are those of the truth, as far as a probing once an hour can see."""
    draw = random.Random(9)
    ips = [f"10.0.0.{i}" for i in range(12)]
    up = dict.fromkeys(ips, True)
    told = Told()
    absent: dict[str, list[tuple[int, str]]] = {ip: [] for ip in ips}  # healthy sweeps missed in a row
    gone: dict[str, int] = {}
    ended: set[tuple[str, int]] = set()
    for hour in range(72):
        for ip in ips:
            up[ip] = hour == 0 or (draw.random() < 0.9 if up[ip] else draw.random() < 0.2)
        vantage = "v1" if hour % 3 else "v2"
        healthy = hour == 0 or draw.random() < 0.7
        minutes = hour * 60
        answered = [ip for ip in ips if up[ip] and (healthy or draw.random() < 0.3)]
        await seen(history, f"s{hour}", minutes + 1, *answered)
        await assess(history, swept(minutes, vantage, healthy=healthy), RULES, told)
        for ip in ips:
            if ip in answered:
                if ip in gone:
                    ended.add((ip, gone.pop(ip)))
                absent[ip] = []
            elif healthy:
                absent[ip].append((at(minutes), vantage))
                if len({v for _, v in absent[ip]}) >= 2:
                    gone.setdefault(ip, absent[ip][0][0])
        assert {state["ip"]: state["down_since"] async for state in history.down(Filter())} == gone
    stored = {(e["ip"], e["details"]["down_since"]) async for e in history.events(Filter(), ended=True)}
    assert stored == ended
    assert len(ended) > 5
    assert len({event.id for event in told.events}) == len(told.events)


async def test_services_as_the_store_has_them(history: History) -> None:  # noqa: F811
    await seen(history, "a", 1, "2001:db8::1", "10.0.0.1")
    stream: AsyncIterator[Any] = history.services()
    assert len([service async for service in stream]) == await history.count(Collection.SERVICES) == 2
