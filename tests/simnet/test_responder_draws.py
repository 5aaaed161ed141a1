from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stages.net.jit import kernel
from stages.simnet.responder_draws import ROLL, below, chosen, mix

MASK = (1 << 64) - 1
ENDS = np.array([0, 1 << 30, 1 << 31, ROLL - 1], np.uint64)


@kernel
def draw(z: object, ends: object, roll: object) -> object:
    h = mix(z)
    return h, chosen(h, ends), below(h, roll)


@given(st.integers(0, MASK), st.integers(0, ROLL))
def test_the_hash_and_what_is_drawn_by_it(z: int, roll: int) -> None:
    h, at, falls = draw(np.uint64(z), ENDS, np.uint64(roll))  # type: ignore[misc]
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & MASK
    z = (z ^ z >> 27) * 0x94D049BB133111EB & MASK
    z ^= z >> 31
    assert int(h) == z
    assert at == sum(z >> 32 >= end for end in ENDS.tolist())
    assert falls == (z >> 32 < roll)


def test_all_and_nothing() -> None:
    for z in range(100):
        _, _, always = draw(np.uint64(z), ENDS, np.uint64(ROLL))  # type: ignore[misc]
        _, _, never = draw(np.uint64(z), ENDS, np.uint64(0))  # type: ignore[misc]
        assert (always, never) == (True, False)
