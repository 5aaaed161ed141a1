from __future__ import annotations

from pathlib import Path

import pytest

from stages.core.errors import HostError, UsageError
from stages.fleet.state import State
from stages.fleet.things import Change
from tests.fleet.material import NOW


async def test_things_are_kept_changed_and_removed(tmp_path: Path) -> None:
    state = State(tmp_path / "f.db")
    await state.keep([Change("parts", "1", {"first": 0}), Change("parts", "2", {"first": 5})])
    await state.keep([Change("parts", "1", {"first": 3}), Change("parts", "2", None)])
    await state.keep([Change("meta", "serial", {"value": 9})])
    state.close()
    again = State(tmp_path / "f.db", make=False)
    assert again.things("parts", "meta") == [Change("parts", "1", {"first": 3}), Change("meta", "serial", {"value": 9})]
    again.close()


async def test_what_is_asked_waits_until_it_is_dealt_with(tmp_path: Path) -> None:
    state = State(tmp_path / "f.db")
    state.ask("submit", {"scan": "a"})
    state.ask("stop", {"scan": "a"})
    [(first, what, body), (second, _, _)] = await state.asked()
    assert (what, body) == ("submit", {"scan": "a"})
    await state.keep([], [first])
    assert [number for number, _, _ in await state.asked()] == [second]
    assert state.waiting() == [("stop", {"scan": "a"})]
    state.close()


async def test_a_token_is_good_once_and_for_a_while(tmp_path: Path) -> None:
    state = State(tmp_path / "f.db")
    state.add_token("h1", "alice", NOW + 10)
    assert await state.alias_of("h1", NOW) == "alice"
    assert await state.alias_of("h1", NOW + 11) is None
    assert await state.spend_token("h1", NOW + 11, "a0", NOW + 100) is None
    assert await state.spend_token("h1", NOW, "a1", NOW + 100) == "alice"
    assert await state.spend_token("h1", NOW, "a2", NOW + 100) is None
    assert await state.enrolled(NOW) == ({"a1": "alice"}, {})
    assert await state.enrolled(NOW + 100) == ({}, {"a1": "alice"})
    state.close()


async def test_an_alias_is_taken_while_its_certificate_is_good(tmp_path: Path) -> None:
    state = State(tmp_path / "f.db")
    state.add_token("h1", "alice", NOW + 10)
    state.add_token("h2", "alice", NOW + 10)  # the newer one counts
    assert await state.alias_of("h1", NOW) is None
    await state.spend_token("h2", NOW, "a1", NOW + 100)
    with pytest.raises(UsageError, match="alice"):
        state.add_token("h3", "alice", NOW + 10)
    assert state.revoke("alice", NOW + 1) == 1
    assert await state.enrolled(NOW) == await state.enrolled(NOW + 1_000) == ({}, {})
    state.add_token("h3", "alice", NOW + 10)
    assert state.revoke("nobody", NOW) == 0
    [row] = state.certificates()
    assert row == {"alias": "alice", "serial": "a1", "issued": NOW, "ends": NOW + 100, "revoked": NOW + 1}
    state.close()


def test_where_there_is_no_file_none_is_made(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        State(tmp_path / "f.db", make=False)
    assert not (tmp_path / "f.db").exists()


async def test_a_moment_is_heard_once_and_none_before_it(tmp_path: Path) -> None:
    state = State(tmp_path / "f.db")
    said = [("a", "claims", 5), ("a", "claims", 5), ("a", "claims", 4), ("a", "agents", 4), ("b", "claims", 1)]
    assert await state.fresh(said) == [True, False, False, True, True]
    state.close()
    again = State(tmp_path / "f.db")
    assert await again.fresh([("a", "claims", 5), ("a", "claims", 6)]) == [False, True]
    again.close()


async def test_one_owner_at_a_time_and_an_older_one_keeps_nothing(tmp_path: Path) -> None:
    one, two = State(tmp_path / "f.db"), State(tmp_path / "f.db")
    assert one.own("one", lambda _: True) is None
    assert one.own("one", lambda _: True) is None
    await one.keep([Change("meta", "serial", {"value": 1})])
    assert two.own("two", lambda _: True) == "one"
    await one.keep([Change("meta", "serial", {"value": 2})])
    assert two.own("two", lambda _: False) is None
    await two.keep([Change("meta", "serial", {"value": 3})])
    for late in (one.keep([Change("meta", "serial", {"value": 4})]), one.fresh([("a", "claims", 1)])):
        with pytest.raises(HostError, match="taken the state over"):
            await late
    assert two.things("meta") == [Change("meta", "serial", {"value": 3})]
    one.close()
    two.close()
