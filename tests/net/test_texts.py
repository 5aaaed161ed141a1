from __future__ import annotations

import math
from base64 import b64encode
from ipaddress import IPv4Address
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stages.core.times import LATEST, rfc3339
from stages.net import texts
from stages.net.jit import kernel
from stages.net.linebatch import Parts

#: The first test on a machine compiles the kernels.
pytestmark = pytest.mark.timeout(600)

ROOM = 4096


@kernel
def numbers(value: Any, address: Any, us: Any, span: Any, out: Any, ends: Any) -> None:
    at = texts.number(out, 0, value)
    ends[0] = at
    at = texts.quad(out, at, address)
    ends[1] = at
    at = texts.time(out, at, us)
    ends[2] = at
    at = texts.seconds(out, at, span)
    ends[3] = at
    at = texts.flag(out, at, value)
    ends[4] = at


@kernel
def encoded(data: Any, first: Any, count: Any, out: Any, ends: Any) -> None:
    at = texts.base64(out, 0, data, first, count)
    ends[0] = at
    at = texts.hexadecimal(out, at, data, first, count)
    ends[1] = at


@kernel
def parts(text: Any, places: Any, out: Any) -> Any:
    at = texts.part_of(out, 0, text, places, 2)
    at = texts.part_of(out, at, text, places, 1)
    return texts.word(out, texts.part_of(out, at, text, places, 0), np.uint64(0x0123456789ABCDEF))


def cut(out: Any, ends: list[int]) -> list[str]:
    data = out.tobytes().decode("ascii")
    return [data[first:last] for first, last in zip([0, *ends[:-1]], ends, strict=True)]


@given(
    st.integers(0, 2**63 - 1), st.integers(0, 2**32 - 1), st.integers(0, LATEST),
    st.integers(0, 10**13).map(lambda us: us / 1e6) | st.just(math.nan),
)  # fmt: skip
@example(0, 0, 0, 0.0)
@example(10**17 - 1, 2**32 - 1, LATEST, 1e-6)
@example(9, 1, 951_782_400_000_000, 0.999999)  # 29 February 2000
@example(10, 1, 4_107_542_399_999_999, 1.0)  # 28 February 2100, which is followed by March
@example(99, 1, 1_709_251_199_999_999, 59.5)
@settings(deadline=None)
def test_numbers_addresses_and_times(value: int, address: int, us: int, span: float) -> None:
    value %= 10**18  # what a row holds has 64 bits at most, and text of so many digits at most is made of it
    out, ends = np.zeros(ROOM, np.uint8), np.zeros(5, np.int64)
    numbers(value, address, us, span, out, ends)
    assert cut(out, ends.tolist()) == [
        str(value), str(IPv4Address(address)), rfc3339(us), "null" if math.isnan(span) else f"{span:.6f}",
        "true" if value else "false",
    ]  # fmt: skip


@given(st.binary(min_size=1, max_size=100), st.data())
@settings(deadline=None)
def test_bytes(data: bytes, draw: st.DataObject) -> None:
    first = draw.draw(st.integers(0, len(data)))
    count = draw.draw(st.integers(0, len(data) - first))
    out, ends = np.zeros(ROOM, np.uint8), np.zeros(2, np.int64)
    encoded(np.frombuffer(data, np.uint8), first, count, out, ends)
    part = data[first : first + count]
    assert cut(out, ends.tolist()) == [b64encode(part).decode(), part.hex()]


def test_parts_by_their_numbers() -> None:
    made = Parts([b"one", b"", b"three"])
    out = np.zeros(ROOM, np.uint8)
    end = parts(made.text, made.places, out)
    assert out[:end].tobytes() == b"threeone" + (0x0123456789ABCDEF).to_bytes(8, "little").hex().encode()
    assert made.longest == 8


def test_no_parts_at_all() -> None:
    assert Parts([]).places.tolist() == [0]
