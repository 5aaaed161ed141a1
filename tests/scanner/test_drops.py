from __future__ import annotations

import pytest

from stages.scanner.drops import MAX_RECEIVE_THREADS, WARN_PACKETS, advice


@pytest.mark.parametrize(
    ("received", "drops", "said"),
    [
        (0, 0, False),
        (100, WARN_PACKETS - 1, False),
        (100, WARN_PACKETS, True),
        (10_000, 100, False),
        (9_900, 100, True),
    ],
)
def test_a_warning_needs_a_share_and_a_number(received: int, drops: int, said: bool) -> None:
    assert (advice(received, drops, 1) is not None) == said


def test_the_advice_names_what_helps() -> None:
    text = advice(30_000, 10_000, 2)
    assert text is not None
    assert "10000 of 40000 answers (25.0%)" in text
    assert "--rate" in text
    assert "--receive-threads" in text
    last = advice(30_000, 10_000, MAX_RECEIVE_THREADS)
    assert last is not None
    assert "--receive-threads" not in last
