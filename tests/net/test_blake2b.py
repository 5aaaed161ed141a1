from __future__ import annotations

from hashlib import blake2b
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.net import blake2b as ours
from stages.net.jit import kernel
from stages.net.wide import copy_bytes

#: The first test on a machine compiles the kernel.
pytestmark = pytest.mark.timeout(600)


@kernel
def hashes(lead: Any, ends: Any, places: Any, out: Any) -> None:
    """Of the lead followed by each end."""
    work = ours.scratch()
    state = np.zeros(8, np.uint64)
    done = ours.begin(state, lead, work)
    rest = lead.size - done
    for i in range(places.size - 1):
        copy_bytes(work[1], 0, lead, done, rest)
        size = places[i + 1] - places[i]
        copy_bytes(work[1], rest, ends, places[i], size)
        out[i, 0], out[i, 1] = ours.finish(state, done, rest + size, work)


def digests(lead: bytes, ends: list[bytes]) -> list[str]:
    out = np.zeros((len(ends), 2), np.uint64)
    places = np.cumsum([0, *map(len, ends)], dtype=np.int64)
    hashes(np.frombuffer(lead, np.uint8), np.frombuffer(b"".join(ends), np.uint8), places, out)
    return [row.tobytes().hex() for row in out]


def by_hashlib(message: bytes) -> str:
    return blake2b(message, digest_size=ours.DIGITS // 2).hexdigest()


@pytest.mark.parametrize("size", [1, 63, 126, 127, 128, 129, 255, 256, 257, 1000])
def test_around_the_ends_of_blocks(size: int) -> None:
    lead = bytes(i % 251 for i in range(size))
    ends = [bytes(range(1, n + 1)) for n in (1, 2, 23, 127, 128)]
    assert digests(lead, ends) == [by_hashlib(lead + end) for end in ends]


@given(st.binary(min_size=1, max_size=300), st.lists(st.binary(min_size=1, max_size=60), min_size=1, max_size=5))
@settings(deadline=None)
def test_any_messages(lead: bytes, ends: list[bytes]) -> None:
    assert digests(lead, ends) == [by_hashlib(lead + end) for end in ends]
