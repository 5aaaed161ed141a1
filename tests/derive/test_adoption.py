from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from stages.derive.adoption import Adoption, adoption


@dataclass(frozen=True)
class One:
    value: Any
    group: str
    count: int


def counted(tallies: Sequence[One], top: int, **more: Any) -> Adoption[Any]:
    async def stream() -> AsyncIterator[One]:
        for tally in tallies:
            yield tally

    return asyncio.run(adoption(stream(), top, **more))


def test_the_most_frequent_and_the_rest() -> None:
    found = counted(
        [One(None, "b", 1), One("1.0", "a", 1), One("1.2", "a", 6), One("1.2", "b", 2), One("1.3", "a", 1),
         One("1.3", "b", 9)], 2,
    )  # fmt: skip
    assert list(found.values) == ["1.3", "1.2"]
    assert found.row("a") == {
        "services": 8,
        "values": [{"value": "1.3", "count": 1, "share": 0.125}, {"value": "1.2", "count": 6, "share": 0.75}],
        "other": {"values": 2, "count": 1, "share": 0.125},
    }
    assert found.cells("b") == ["9 (75.0%)", "2 (16.7%)", "1 (8.3%)"]
    assert found.cells("nothing was seen") == ["0 (0.0%)"] * 3


def test_nothing_is_counted() -> None:
    assert counted([], 3).row("a") == {"services": 0, "values": []}


_TALLIES = st.lists(
    st.builds(One, st.sampled_from([None, *"abcdef"]), st.sampled_from("xyz"), st.integers(1, 9)), max_size=30
).map(lambda tallies: sorted(tallies, key=lambda t: t.value or ""))


@given(_TALLIES, st.integers(1, 7))
def test_nothing_is_lost_and_the_greatest_are_named(tallies: list[One], top: int) -> None:
    found = counted(tallies, top)
    totals: Counter[Any] = Counter()
    for tally in tallies:
        totals[tally.value] += tally.count
    assert len(found.values) == min(top, len(totals))
    assert found.hidden == len(totals) - len(found.values)
    for value, of in found.values.items():
        assert of.total() == totals[value]
    least = min((of.total() for of in found.values.values()), default=0)
    assert all(count <= least for value, count in totals.items() if value not in found.values)
    for group in "xyz":
        whole = sum(t.count for t in tallies if t.group == group)
        assert found.totals[group] == whole
        assert sum(of[group] for of in found.values.values()) + found.other[group] == whole


def test_values_are_summed_under_their_label() -> None:
    found = counted([One(10, "a", 1), One(11, "a", 2), One(20, "a", 4)], 9, label=lambda n: f"{n // 10}x")
    assert {value: of["a"] for value, of in found.values.items()} == {"2x": 4, "1x": 3}
