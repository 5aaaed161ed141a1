from __future__ import annotations

import pytest

from stages.core.concurrency import BURST_SECONDS, Concurrency


def test_a_burst_of_failures_halves_once() -> None:
    concurrency = Concurrency(1000)
    assert concurrency.failed(1.0)
    assert not concurrency.failed(1.0 + BURST_SECONDS / 2)
    assert concurrency.limit == 500
    assert concurrency.failed(1.0 + BURST_SECONDS)
    assert concurrency.limit == 250


def test_never_below_one() -> None:
    concurrency = Concurrency(5)
    for second in range(10):
        concurrency.failed(float(second))
    assert concurrency.limit == 1
    assert not concurrency.failed(100.0)


def test_it_grows_back_slowly_and_not_beyond_the_wish() -> None:
    concurrency = Concurrency(10)
    concurrency.failed(0.0)
    concurrency.ended(4)
    assert concurrency.limit == 5
    concurrency.ended(1)
    assert concurrency.limit == 6
    concurrency.ended(6 + 7 + 8 + 9)
    assert concurrency.limit == 10
    concurrency.ended(1000)
    assert concurrency.limit == 10


def test_a_concurrency_of_none() -> None:
    with pytest.raises(ValueError, match="concurrency"):
        Concurrency(0)
