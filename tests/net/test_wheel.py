from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from stages.net.wheel import NOWHERE, Wheel

TICK = 0.05


@dataclass(eq=False)
class Item:
    deadline: float = 0.0
    tick: int = NOWHERE
    fired: list[float] = field(default_factory=list)


def test_an_item_expires_at_its_deadline_and_once() -> None:
    wheel: Wheel[Item] = Wheel(TICK, 100.0)
    item = Item()
    wheel.schedule(item, 101.0)
    assert wheel.expired(100.9) == []
    assert wheel.expired(101.06) == [item]
    assert wheel.expired(200.0) == []
    assert item.tick == NOWHERE
    assert len(wheel) == 0


def test_a_deadline_moved_to_later_is_kept() -> None:
    wheel: Wheel[Item] = Wheel(TICK, 0.0)
    item = Item()
    wheel.schedule(item, 1.0)
    wheel.schedule(item, 5.0)
    assert wheel.expired(4.0) == []
    assert len(wheel) == 1
    assert wheel.expired(5.1) == [item]


def test_a_deadline_moved_to_earlier_is_kept() -> None:
    wheel: Wheel[Item] = Wheel(TICK, 0.0)
    item = Item()
    wheel.schedule(item, 5.0)
    wheel.schedule(item, 1.0)
    assert wheel.expired(1.1) == [item]
    assert len(wheel) == 0


def test_a_deadline_in_the_past_expires_with_the_next_tick() -> None:
    wheel: Wheel[Item] = Wheel(TICK, 50.0)
    item = Item()
    wheel.schedule(item, 3.0)
    assert wheel.expired(50.0) == []
    assert wheel.expired(50.0 + 2 * TICK) == [item]


def test_a_cancelled_item_leaves_nothing_behind() -> None:
    wheel: Wheel[Item] = Wheel(TICK, 0.0)
    item = Item()
    wheel.schedule(item, 1.0)
    wheel.cancel(item)
    wheel.cancel(item)
    assert len(wheel) == 0
    assert wheel.expired(9.0) == []


steps = st.lists(
    st.one_of(
        st.tuples(st.just("move"), st.integers(0, 5), st.floats(0.0, 3.0)),
        st.tuples(st.just("cancel"), st.integers(0, 5), st.just(0.0)),
        st.tuples(st.just("pass"), st.just(0), st.floats(0.0, 1.0)),
    ),
    max_size=60,
)


@given(steps)
def test_never_early_and_at_most_two_ticks_late(actions: list[tuple[str, int, float]]) -> None:
    """Against a model: a plain dictionary of deadlines."""
    now = 10.0
    wheel: Wheel[Item] = Wheel(TICK, now)
    items = [Item() for _ in range(6)]
    alive: dict[int, float] = {}
    for action, index, value in actions:
        if action == "move":
            wheel.schedule(items[index], now + value)
            alive[index] = now + value
        elif action == "cancel":
            wheel.cancel(items[index])
            alive.pop(index, None)
        else:
            now += value
            for item in wheel.expired(now):
                assert alive.pop(items.index(item)) <= now
            assert all(deadline > now - 2 * TICK for deadline in alive.values())
        assert len(wheel) == len(alive)
    now += 10.0
    assert {items.index(item) for item in wheel.expired(now)} == set(alive)
