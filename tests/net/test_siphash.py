from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.net import siphash
from stages.net.jit import kernel

#: The first and some later of the 64 vectors that the authors publish with their reference code: key 00..0f, message
#: 00, 01, 02, ... of the length given, output as a little-endian integer.
KEY = bytes(range(16))
VECTORS = {
    0: 0x726FDB47DD0E0E31,
    1: 0x74F839C593DC67FD,
    2: 0x0D6C8009D9A94F5A,
    3: 0x85676696D7FB7E2D,
    4: 0xCF2794E0277187B7,
    5: 0x18765564CD99A68D,
    6: 0xCBC9466E58FEE3CE,
    7: 0xAB0200F58B01D137,
    8: 0x93F5F5799A932462,
    15: 0xA129CA6149BE45E5,  # the example of the paper, appendix A
    63: 0x958A324CEB064572,
}


@kernel
def one(k0: Any, k1: Any, first: Any, last: Any) -> Any:
    return siphash.hash_words(k0, k1, first, last)


def words(data: bytes) -> int:
    """`data` (8 to 15 bytes) through the pieces that kernels use."""
    k0, k1 = siphash.key_words(KEY)
    first = int.from_bytes(data[:8], "little")
    last = len(data) << 56 | int.from_bytes(data[8:], "little")
    return int(one(*(np.uint64(word) for word in (k0, k1, first, last))))


@pytest.mark.parametrize(("length", "expected"), VECTORS.items())
def test_vectors(length: int, expected: int) -> None:
    assert siphash.siphash24(KEY, bytes(range(length))) == expected


@pytest.mark.parametrize("length", [8, 15])
def test_vectors_in_a_kernel(length: int) -> None:
    assert words(bytes(range(length))) == VECTORS[length]


@settings(deadline=None)  # the first call compiles
@given(st.binary(min_size=8, max_size=15))
def test_kernel_and_integers_agree(data: bytes) -> None:
    assert words(data) == siphash.siphash24(KEY, data)


@pytest.mark.parametrize("key", [b"", bytes(15), bytes(17)])
def test_a_key_has_16_bytes(key: bytes) -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        siphash.siphash24(key, b"")
