from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.net.jit import kernel
from stages.proto.template import ALPHABETS, Field, Values, render_field, stream
from stages.scanner.probes.randoms import KINDS, characters, random_word

SEEDS = st.integers(0, (1 << 64) - 1)


@kernel
def draw(seed: Any, number: Any, kind: Any) -> Any:
    return random_word(seed, number), characters(random_word(seed, number), kind)


@settings(deadline=None)
@given(SEEDS, st.integers(0, 200), st.sampled_from(sorted(ALPHABETS)))
def test_eight_characters_are_those_of_the_pure_code(seed: int, number: int, name: str) -> None:
    word, drawn = draw(np.uint64(seed), np.uint64(number), KINDS[name])
    assert int(word) == next(stream(seed, number, 1))
    expected = render_field(Field(name, 8, number), Values(0, 0, 0, 0, seed))
    assert int(drawn).to_bytes(8, "little") == expected


@kernel
def each(word: Any, kind: Any) -> Any:
    return characters(word, kind)


@pytest.mark.parametrize("name", sorted(ALPHABETS))
def test_every_byte_in_every_place(name: str) -> None:
    alphabet = ALPHABETS[name]
    for byte in range(256):
        drawn = int(each(np.uint64(byte * 0x0101010101010101), KINDS[name])).to_bytes(8, "little")
        assert drawn == bytes([byte if alphabet is None else alphabet[byte * len(alphabet) >> 8]]) * 8
