from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from stages.core.offsets import Entry, Offsets, State

P = ("hits", 0)
Q = ("hits", 1)


def finish(offsets: Offsets, entry: Entry) -> list[Entry]:
    entry.left = 0
    return offsets.finished(entry)


def test_only_the_contiguous_finished_prefix_is_reported() -> None:
    offsets = Offsets()
    a, b, c = (offsets.add(P, i, i + 1, 1, 10) for i in (5, 6, 7))
    assert finish(offsets, c) == []
    assert offsets.report() == {}
    assert finish(offsets, a) == [a]
    assert offsets.dirty
    assert offsets.report() == {P: 6}
    assert offsets.report() == {}
    assert finish(offsets, b) == [b, c]
    assert offsets.report() == {P: 8}


def test_a_chunk_of_many_lines_is_finished_with_its_last_line() -> None:
    offsets = Offsets()
    entry = offsets.add(P, 0, 1000, 3, 30)
    entry.left -= 2
    assert offsets.finished(entry) == []
    assert offsets.report() == {}
    entry.left -= 1
    assert offsets.finished(entry) == [entry]
    assert offsets.report() == {P: 1000}


def test_an_empty_chunk_only_has_to_be_finished() -> None:
    offsets = Offsets()
    entry = offsets.add(P, 3, 4, 0, 0)
    assert offsets.finished(entry) == [entry]
    assert offsets.report() == {P: 4}


def test_partitions_are_independent() -> None:
    offsets = Offsets()
    offsets.add(P, 0, 1, 1, 1)
    finish(offsets, offsets.add(Q, 0, 1, 1, 1))
    assert offsets.report() == {Q: 1}


def test_the_span_counts_until_it_is_acknowledged() -> None:
    offsets = Offsets(max_offsets=3)
    entries = [offsets.add(P, i, i + 1, 1, 1) for i in range(3)]
    assert offsets.full
    for entry in entries:
        finish(offsets, entry)
    assert offsets.full
    assert offsets.span == 3
    offsets.acknowledge(offsets.report())
    assert not offsets.full
    assert offsets.span == 0


def test_the_span_is_bounded_in_bytes() -> None:
    offsets = Offsets(max_bytes=100)
    first = offsets.add(P, 0, 1, 1, 60)
    second = offsets.add(P, 1, 2, 1, 60)
    assert offsets.full
    finish(offsets, first)
    offsets.acknowledge(offsets.report())
    assert not offsets.full
    finish(offsets, second)
    third = offsets.add(P, 2, 3, 1, 40)
    assert offsets.full
    offsets.acknowledge(offsets.report())
    assert not offsets.full
    assert third.span.bytes_taken - third.span.bytes_acknowledged == 40


def test_what_was_lost_is_neither_reported_nor_mixed_with_what_comes_back() -> None:
    offsets = Offsets()
    old = offsets.add(P, 0, 1, 1, 1)
    kept = offsets.add(Q, 0, 1, 1, 1)
    finish(offsets, kept)
    spans = offsets.close([P, ("other", 9)])
    assert [span.state for span in spans] == [State.CLOSING]
    offsets.lose(spans)
    assert finish(offsets, old) == []
    new = offsets.add(P, 0, 1, 1, 1)
    assert new.span is not old.span
    assert offsets.report() == {Q: 1}
    offsets.acknowledge({("gone", 1): 5})


def test_a_closing_span_still_reports() -> None:
    offsets = Offsets()
    entry = offsets.add(P, 0, 1, 1, 1)
    spans = offsets.close([P])
    finish(offsets, entry)
    assert offsets.report() == {P: 1}
    offsets.lose(spans)
    assert offsets.spans == []


def test_a_dirty_span_that_is_lost_is_not_reported() -> None:
    offsets = Offsets()
    finish(offsets, offsets.add(P, 0, 1, 1, 1))
    offsets.lose(offsets.close([P]))
    assert offsets.report() == {}


@given(st.lists(st.integers(1, 5), min_size=1, max_size=40), st.randoms(use_true_random=False), st.integers(1, 7))
def test_nothing_unfinished_is_ever_before_a_reported_position(
    sizes: list[int], rnd: random.Random, every: int
) -> None:
    offsets = Offsets()
    entries = []
    at = 0
    for lines in sizes:
        entries.append(offsets.add(P, at, at + lines, lines, lines))
        at += lines
    work = [entry for entry in entries for _ in range(entry.lines)]
    rnd.shuffle(work)
    committed = 0
    for i, entry in enumerate(work):
        entry.left -= 1
        if not entry.left:
            offsets.finished(entry)
        if i % every == 0:
            positions = offsets.report()
            offsets.acknowledge(positions)
            committed = max(committed, positions.get(P, 0))
            assert all(not e.left for e in entries if e.offset < committed)
    offsets.acknowledge(final := offsets.report())
    assert max(committed, final.get(P, 0)) == at
    assert offsets.span == 0
