"""States by tables, and against a naive oracle: a service is down if and only if the rule holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.core.events import Event, EventType, parse
from stages.derive.availability import MAX_VANTAGES, Rules, State, Swept, leaf_to_read, missed, step
from stages.derive.state_documents import document, state_of
from tests.derive.sweeps import at, said, service, shook, swept

RULES = Rules(misses=3, vantages=2)


def through(
    seen: dict[str, Any], sweeps: Sequence[Swept], rules: Rules = RULES, state: State | None = None
) -> tuple[State, list[Event]]:
    """The state after all of them, and all that happened."""
    told: list[Event] = []
    for one in sweeps:
        state, events = step(seen, state, one, rules, {})
        state.tell = []
        told += events
    assert state is not None
    return state, told


def kinds(events: Sequence[Event]) -> list[str]:
    return [str(event.type) for event in events]


def test_a_new_service_is_up_since_it_was_first_seen() -> None:
    state, [up] = step(service(first=-7), None, swept(-8), RULES, {})
    assert (up.type, up.ts, up.details) == (EventType.SERVICE_UP, at(-7), {})
    assert (state.last_changed, state.down_since, state.missing, state.tell) == (at(-7), None, False, [up])
    assert step(service(first=-7), state, swept(-8), RULES, {}) == (state, [])


def test_down_after_enough_misses_from_enough_vantages() -> None:
    state, told = through(service(), [swept(10), swept(20)])
    assert (state.missing, state.down_since, kinds(told)) == (True, None, ["service_up"])
    state, told = through(service(), [swept(30), swept(40)], state=state)
    assert (state.down_since, told) == (None, []), "one vantage only"
    state, [down] = through(service(), [swept(50, "v2")], state=state)
    assert down.type is EventType.SERVICE_DOWN
    assert state.down_since == state.last_changed == at(10), "the beginning of the first sweep that missed it"
    assert down.details == {
        "down_since": at(10), "decided": at(55), "last_seen": at(0), "misses": 4, "vantages": ["v1", "v2"],
    }  # fmt: skip
    assert (down.ts, down.scan, down.vantage) == (at(10), "v2-50", "v2")


def test_up_again_ends_the_outage() -> None:
    sweeps = [swept(10), swept(20, "v2"), swept(30)]
    state, [_, down] = through(service(), sweeps)
    banner = said(b"x", 41)
    again = service(last=42, banner=banner, hit={"ts": at(40)})
    state, [up] = through(again, [swept(40)], state=state)
    assert up.type is EventType.SERVICE_UP
    assert up.details == {"down_since": at(10), "until": at(40), "last_seen": at(0)}
    assert (up.ts, state.last_changed) == (at(40), at(40)), "of the answers since then the first one"
    assert (state.down_since, state.missing) == (None, False)
    assert up.id != down.id
    _, told = through(again, [*sweeps, swept(40)], state=state)
    assert told == [], "sweeps of before are sweeps of before"


def test_two_outages_have_two_ids() -> None:
    state, first = through(service(), [swept(10), swept(20, "v2"), swept(30)])
    state, second = through(service(last=40), [swept(40)], state=state)
    state, third = through(service(last=40), [swept(50), swept(60, "v2"), swept(70)], state=state)
    state, fourth = through(service(last=80), [swept(80)], state=state)
    told = [*first, *second, *third, *fourth]
    assert kinds(told) == ["service_up", "service_down", "service_up", "service_down", "service_up"]
    assert len({event.id for event in told}) == 5


def test_a_sighting_in_the_middle_that_comes_late_ends_the_row_there() -> None:
    state, _ = through(service(), [swept(10), swept(20, "v2"), swept(30), swept(40, "v2"), swept(50)])
    late = service(last=15)
    state, told = through(late, [swept(60)], state=state)
    assert kinds(told) == ["service_up", "service_down"]
    assert told[0].details["until"] == at(15)
    assert state.down_since == told[1].details["down_since"] == at(20)


@pytest.mark.parametrize(
    ("sweep", "counts"),
    [
        (swept(10), True),
        (swept(10, healthy=False), False),
        (swept(10, complete=False), False),
        (swept(10, covers=lambda address, port, transport: False), False),
        (swept(10, covers=lambda *target: (target[0][12:], *target[1:]) == (b"\n\0\0\1", 443, "tcp")), True),
        (swept(0), False),  # seen at its beginning
        (swept(0.0001), True),
    ],
)  # fmt: skip
def test_what_a_miss_is(sweep: Swept, counts: bool) -> None:
    assert missed(service(), sweep) is counts
    assert through(service(), [sweep], Rules(1, 1))[0].missing is counts


def test_a_service_of_a_name_is_missed_by_who_asked_for_the_name() -> None:
    assert not missed(service(name="a.example"), swept(10))
    assert not missed(service(name="a.example"), swept(10, names=("b.example",)))
    assert missed(service(name="a.example"), swept(10, names=("a.example",)))
    assert missed(service(), swept(10, names=("a.example",)))


SSH = b"SSH-2.0-OpenSSH_9.2\r\n"


def test_a_changed_banner() -> None:
    state, _ = through(service(banner=said(SSH)), [swept(0)])
    new = said(b"SSH-2.0-OpenSSH_9.7\r\n", 9)
    state, [changed] = through(service(last=9, banner=new), [swept(9)], state=state)
    assert changed.type is EventType.BANNER_CHANGED
    assert (changed.ts, state.last_changed) == (at(9), at(9))
    assert (changed.details["said_before"], changed.details["said"]) == ("SSH-2.0-OpenSSH_9.2", "SSH-2.0-OpenSSH_9.7")
    assert changed.details["after"] == new["sha256"]


@pytest.mark.parametrize(
    "later",
    [
        said(SSH, 9),
        said(SSH + b"\0\0\1\xd4\x08\x14random", 9),
        said(b"", 9),
        said(b"220 other", 9, probe="send"),
    ],
    ids=["the same", "a random cookie", "nothing", "another question"],
)
def test_no_change_of_a_banner(later: dict[str, Any]) -> None:
    state, _ = through(service(banner=said(SSH)), [swept(0)])
    assert through(service(last=9, banner=later), [swept(9)], state=state)[1] == []


def test_a_changed_certificate() -> None:
    state, _ = through(service(tls=shook("a" * 64)), [swept(0)])
    state, [changed] = through(service(last=9, tls=shook("b" * 64, 9)), [swept(9)], state=state)
    assert changed.type is EventType.CERTIFICATE_CHANGED
    assert changed.details == {"before": "a" * 64, "after": "b" * 64, "mode": "full"}
    other = service(last=20, tls=shook("c" * 64, 20, mode="old"))
    assert through(other, [swept(20)], state=state)[1] == [], "another hello may well be shown another certificate"
    without = service(last=20, tls={"ts": at(20), "mode": "jarm"})
    kept, told = through(without, [swept(20)], state=state)
    assert (kept.shown["certificate"].hash, told) == ("b" * 64, [])


def test_which_certificates_have_to_be_read() -> None:
    seen = service(tls=shook("a" * 64))
    assert leaf_to_read(service(), None) is None
    assert leaf_to_read(seen, None) == "a" * 64
    state, _ = step(seen, None, swept(0), RULES, {"a" * 64: "d" * 64})
    assert state.shown["key"].hash == "d" * 64
    assert leaf_to_read(seen, state) is None
    assert leaf_to_read(service(tls=shook("b" * 64)), state) == "b" * 64


def test_a_renewed_certificate_keeps_its_key_since_then() -> None:
    state, _ = step(service(tls=shook("a" * 64)), None, swept(0), RULES, {"a" * 64: "d" * 64})
    renewed = service(last=9, tls=shook("b" * 64, 9))
    state, _ = step(renewed, state, swept(9), RULES, {"b" * 64: "d" * 64})
    assert (state.shown["certificate"].since, state.shown["key"].since) == (at(9), at(0))


@pytest.mark.parametrize(("misses", "vantages"), [(0, 1), (3, 0), (99, MAX_VANTAGES + 1)])
def test_rules_that_cannot_be_met(misses: int, vantages: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Rules(misses, vantages)


def test_a_row_is_bounded() -> None:
    sweeps = [swept(n, f"v{n % 40}") for n in range(1, 400)]
    state, _ = through(service(), sweeps, Rules(misses=4, vantages=16))
    assert len(state.row) <= 4 * MAX_VANTAGES
    assert state.down_since == at(1)


# --- properties

SWEEPS = st.lists(
    st.builds(
        swept,
        st.integers(0, 12),
        st.sampled_from(["v1", "v2", "v3"]),
        healthy=st.booleans() | st.just(True),
        complete=st.booleans() | st.just(True),
    ),
    max_size=10,
    unique_by=lambda one: one.scan,
)
SEEN = st.integers(0, 12)
RULE = st.builds(Rules, st.integers(1, 4), st.integers(1, 3))


def oracle(last: int, sweeps: Sequence[Swept], rules: Rules) -> int | None:
    """Since when it is down, by the words of the rule."""
    row = [one for one in sweeps if one.healthy and one.complete and one.started > at(last)]
    if len(row) >= rules.misses and len({one.vantage for one in row}) >= rules.vantages:
        return min(one.started for one in row)
    return None


@given(SEEN, SWEEPS, RULE)
def test_down_if_and_only_if_the_rule_holds(last: int, sweeps: list[Swept], rules: Rules) -> None:
    sweeps = [swept(-1), *sweeps]
    state, told = through(service(last=last), sweeps, rules)
    assert state.down_since == oracle(last, sweeps, rules)
    assert kinds(told) == ["service_up", *["service_down"] * (state.down_since is not None)]


@given(st.data(), SEEN, SWEEPS, RULE)
def test_order_and_repetition_change_nothing(data: st.DataObject, last: int, sweeps: list[Swept], rules: Rules) -> None:
    sweeps = [swept(-1), *sweeps]
    once, told = through(service(last=last), sweeps, rules)
    shuffled = data.draw(st.permutations([*sweeps, *data.draw(st.lists(st.sampled_from(sweeps), max_size=6))]))
    other, again = through(service(last=last), shuffled, rules)
    assert other == once
    assert {event.id for event in again} == {event.id for event in told}
    assert len(again) == len(told)


@given(SEEN, SWEEPS, RULE)
def test_an_unhealthy_sweep_changes_nothing(last: int, sweeps: list[Swept], rules: Rules) -> None:
    unwell = [Swept(s.scan, s.vantage, s.started, s.ended, False, s.complete, s.covers) for s in sweeps]
    state, told = through(service(last=last), [swept(-1), *unwell], rules)
    assert (state.row, state.down_since, kinds(told)) == ((), None, ["service_up"])


@given(st.lists(st.tuples(st.integers(1, 6), SWEEPS), min_size=1, max_size=5), RULE)
def test_what_is_told_is_what_the_states_say(life: list[tuple[int, list[Swept]]], rules: Rules) -> None:
    """Sightings between sweeps: downs and ups alternate, an outage that ended has the bounds of what was seen, and the
    state is down where the oracle says so."""
    state: State | None = None
    told: list[Event] = []
    last, offset, every = 0, 0, [swept(-1)]
    for pause, sweeps in life:
        offset += 20
        moved = [swept((s.started - at(0)) / 60e6 + offset, s.vantage, healthy=s.healthy, complete=s.complete)
                 for s in sweeps]  # fmt: skip
        every += moved
        for one in moved:
            state, events = step(service(last=last), state, one, rules, {})
            state.tell = []
            told += events
        if moved:
            assert state is not None
            assert state.down_since == oracle(last, every, rules)
        last = offset + 12 + pause
    changes = [event for event in told if event.details]
    assert [event.type for event in changes] == ([EventType.SERVICE_DOWN, EventType.SERVICE_UP] * len(changes))[
        : len(changes)
    ]
    for down, up in zip(changes[::2], changes[1::2], strict=False):
        assert down.details["last_seen"] == up.details["last_seen"]
        assert up.details["last_seen"] < up.details["down_since"] <= up.details["until"]
        assert up.details["down_since"] <= down.details["down_since"], "a sweep counted later may have begun earlier"
    assert len({event.id for event in told}) == len(told)


@given(SEEN, SWEEPS, RULE)
def test_a_state_is_stored_and_read_back(last: int, sweeps: list[Swept], rules: Rules) -> None:
    seen = service(last=last, banner=said(b"hello\xff\r\n"), tls=shook("a" * 64), name="x.example")
    state: State | None = None
    for one in [swept(-1), *sweeps]:
        state, events = step(seen, state, one, rules, {"a" * 64: "b" * 64})
        assert state_of(document(state)) == state
        assert all(parse(event.dump()) == event for event in events)
