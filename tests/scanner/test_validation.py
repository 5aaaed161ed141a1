from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.net.jit import kernel
from stages.net.siphash import key_words, siphash24
from stages.scanner import validation
from stages.scanner.validation import Tag

U32 = st.integers(0, (1 << 32) - 1)
U16 = st.integers(0, 65535)
SECRETS = st.binary(min_size=16, max_size=16)
PORT_RANGES = st.tuples(U16, U16).map(lambda pair: (min(pair), max(pair)))


@kernel
def everything(k0: Any, k1: Any, source: Any, target: Any, port: Any, attempt: Any, first: Any, count: Any) -> Any:
    value = validation.tag(k0, k1, source, target, port)
    offset = validation.port_offset(value, count)
    sport = validation.source_port(offset, attempt, first, count)
    return (
        validation.sequence(value),
        sport,
        validation.attempt_of(offset, sport, first, count),
        validation.echo_id(value),
        validation.echo_sequence(value, attempt),
    )


@kernel
def attempt(offset: Any, port: Any, first: Any, count: Any) -> Any:
    return validation.attempt_of(offset, port, first, count)


@settings(deadline=None)
@given(SECRETS, U32, U32, U16, PORT_RANGES, st.integers(0, 255))
def test_kernel_and_integers_agree(
    secret: bytes, source: int, target: int, port: int, ports: tuple[int, int], number: int
) -> None:
    count = ports[1] - ports[0] + 1
    number %= count
    tag = Tag.of(secret, source, target, port)
    words = (*key_words(secret), source, target, port, number, ports[0], count)
    found = [int(value) for value in everything(*(np.uint64(word) for word in words))]
    sport = tag.source_port(ports, number)
    assert found == [tag.sequence, sport, number, tag.echo_id, tag.echo_sequence(number)]
    assert ports[0] <= sport <= ports[1]


@settings(deadline=None)
@given(PORT_RANGES, U16, U16)
def test_a_port_is_at_most_one_attempt(ports: tuple[int, int], offset: int, port: int) -> None:
    first, last = ports
    count = last - first + 1
    offset %= count
    found = int(attempt(np.uint64(offset), np.uint64(port), np.uint64(first), np.uint64(count)))
    if first <= port <= last:
        assert first + (offset + found) % count == port
        assert found < count
    else:
        assert found >= count


def test_the_message_is_ten_bytes() -> None:
    message = bytes.fromhex("04030201 0200000a 5000".replace(" ", ""))  # little-endian: target, source, port
    assert Tag.of(bytes(range(16)), 0x0A000002, 0x01020304, 80).value == siphash24(bytes(range(16)), message)


def test_source_ports_are_used_evenly() -> None:
    """65,536 targets over 28,233 ports in 64 equal parts: chi-square."""
    ports = (32768, 61000)
    used = np.array([Tag.of(bytes(16), 1, target, 80).source_port(ports) for target in range(20_000)])
    counts = np.bincount((used - ports[0]) * 64 // 28233, minlength=64)
    expected = used.size / 64
    assert ((counts - expected) ** 2 / expected).sum() < 130  # 63 degrees of freedom: beyond 10^-6


@kernel
def ask_bits(values: Any) -> Any:
    return validation.whole_bits(values)


@pytest.mark.parametrize(("values", "bits"), [(0, 0), (1, 0), (2, 1), (3, 1), (1000, 9), (1024, 10), (65536, 16)])
def test_bits_of_so_many_values(values: int, bits: int) -> None:
    assert ask_bits(np.uint64(values)) == bits
