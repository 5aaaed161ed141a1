from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stages.core.delays import Delays


def test_what_is_due_comes_out_earliest_first() -> None:
    delays: Delays[str] = Delays()
    assert delays.next_at() is None
    for due, item in ((3.0, "c"), (1.0, "a"), (2.0, "b"), (1.0, "a2")):
        delays.push(due, item)
    assert delays.next_at() == 1.0
    assert delays.pop(0.5) == []
    assert delays.pop(2.0) == ["a", "a2", "b"]
    assert len(delays) == 1


def test_discard_takes_out_and_keeps_the_rest_in_order() -> None:
    delays: Delays[int] = Delays()
    for n in range(10):
        delays.push(10.0 - n, n)
    assert sorted(delays.discard(lambda n: n % 2 == 0)) == [0, 2, 4, 6, 8]
    assert delays.discard(lambda n: n > 100) == []
    assert delays.pop(100.0) == [9, 7, 5, 3, 1]


@given(st.lists(st.floats(0, 100)))
def test_like_a_stable_sort(times: list[float]) -> None:
    delays: Delays[int] = Delays()
    for i, due in enumerate(times):
        delays.push(due, i)
    assert delays.pop(100.0) == sorted(range(len(times)), key=times.__getitem__)
