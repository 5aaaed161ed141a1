from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.core.bus.base import Output, partition_of
from stages.core.bus.batching import by_partition, is_whole, joined, split

DEAD = {"reason": b"schema"}


@pytest.mark.parametrize(
    ("value", "headers", "lines"),
    [
        (b"", None, []),
        (b"a", None, [b"a"]),
        (b"a\n", None, [b"a"]),
        (b"a\r\n", None, [b"a"]),
        (b"a\r", None, [b"a"]),
        (b"\n\na\n\nb", None, [b"a", b"b"]),
        (b"a\r\nb\r\n", {"trace": b"1"}, [b"a", b"b"]),
        (b"a\nb", DEAD, [b"a\nb"]),
        (b"\n", DEAD, [b"\n"]),
        (b"", DEAD, [b""]),
    ],
)
def test_split(value: bytes, headers: dict[str, bytes] | None, lines: list[bytes]) -> None:
    assert split(value, headers) == lines


def test_is_whole() -> None:
    assert is_whole(DEAD)
    assert not is_whole(None)
    assert not is_whole({"trace": b""})


RECORDS = st.lists(
    st.builds(
        Output,
        st.sampled_from(["a", "b"]),
        st.binary(min_size=1, max_size=2),
        st.binary(min_size=1, max_size=9).filter(lambda value: b"\n" not in value and b"\r" not in value),
        st.sampled_from([None, None, None, DEAD]),
    )
)


@given(RECORDS, st.integers(1, 5))
def test_by_partition_keeps_all_in_order(outputs: list[Output], count: int) -> None:
    placed = by_partition(outputs, lambda topic: count if topic == "a" else 1)
    for (topic, number), held in placed.items():
        partitions = count if topic == "a" else 1
        assert held == [o for o in outputs if o.topic == topic and partition_of(o.key, partitions) == number]
    assert sum(map(len, placed.values())) == len(outputs)


@given(RECORDS, st.integers(1, 4), st.integers(1, 40))
def test_joined_messages_split_into_the_same_records(outputs: list[Output], batch: int, size: int) -> None:
    messages = list(joined(outputs, batch, size))
    assert [line for _, value, headers in messages for line in split(value, headers)] == [o.value for o in outputs]
    for _, value, headers in messages:
        held = split(value, headers)
        assert len(held) <= batch
        assert len(value) <= size or len(held) == 1
        assert headers is None or held[0] == value


def test_joined_takes_the_first_key_and_leaves_dead_letters_alone() -> None:
    outputs = [Output("t", b"1", b"a"), Output("t", b"2", b"b"), Output("t", b"3", b"c", DEAD), Output("t", b"4", b"d")]
    assert list(joined(outputs, 10)) == [(b"1", b"a\nb", None), (b"3", b"c", DEAD), (b"4", b"d", None)]
