from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP
from scapy.utils import checksum as oracle

from stages.net import checksum
from stages.net.jit import kernel


@kernel
def summed(data: Any, start: Any, end: Any) -> Any:
    return checksum.finish(checksum.sum_bytes(data, start, end))


def test_the_example_of_rfc_1071() -> None:
    assert checksum.word_sum(bytes.fromhex("0001f203f4f5f6f7")) == 0x2DDF0
    assert checksum.checksum(bytes.fromhex("0001f203f4f5f6f7")) == 0xDDF2 ^ 0xFFFF


@given(st.binary(max_size=100))
def test_agrees_with_scapy(data: bytes) -> None:
    assert checksum.checksum(data) == oracle(data)


@settings(deadline=None)  # the first call compiles
@given(st.binary(min_size=1, max_size=100), st.integers(0, 20))
def test_kernel_agrees_from_any_offset(data: bytes, before: int) -> None:
    array = np.frombuffer(bytes(before) + data + b"\xff", np.uint8)
    assert int(summed(array, before, before + len(data))) == checksum.checksum(data)


def test_the_kernel_takes_64_kib_of_ones() -> None:
    data = np.full(1 << 16, 0xFF, np.uint8)
    assert int(summed(data, 0, data.size)) == checksum.checksum(data.tobytes())


@pytest.mark.parametrize("payload", [b"", b"x", b"odd", b"even"])
def test_pseudo_header(payload: bytes) -> None:
    packet = IP(src="10.1.2.3", dst="192.0.2.77") / TCP(sport=1, dport=2, seq=3) / payload
    right = IP(bytes(packet))[TCP].chksum
    packet[TCP].chksum = 0
    segment = bytes(packet[TCP])
    total = checksum.pseudo_sum(0x0A010203, 0xC000024D, 6, len(segment)) + checksum.word_sum(segment)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    assert total ^ 0xFFFF == right
