from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP
from scapy.packet import Raw

from stages.net.jit import kernel
from stages.scanner.probes.icmp_quote import quoted

QUOTE = bytes(IP(src="192.0.2.2", dst="10.0.0.1") / TCP(sport=1, dport=2))[:28]


@kernel
def ask(data: Any, end: Any, here: Any, finished: Any) -> Any:
    return quoted(data, 0, end, here, finished)


def found(message: bytes, *, here: bool = True, finished: bool = True) -> tuple[int, int]:
    inner, layer4 = ask(np.frombuffer(message + bytes(8), np.uint8), len(message), here, finished)
    return int(inner), int(layer4)


@pytest.mark.parametrize("kind", [3, 4, 5, 11, 12])
def test_errors_quote(kind: int) -> None:
    assert found(bytes(ICMP(type=kind) / Raw(QUOTE))) == (8, 28)


@pytest.mark.parametrize("kind", [0, 8, 13, 30, 255])
def test_others_do_not(kind: int) -> None:
    assert found(bytes(ICMP(type=kind) / Raw(QUOTE))) == (-1, -1)


def test_a_wrong_checksum_counts_only_where_it_can_be_verified() -> None:
    wrong = bytes(ICMP(type=3, chksum=1) / Raw(QUOTE))
    assert found(wrong) == (-1, -1)
    assert found(wrong, here=False) == (8, 28)
    assert found(wrong, finished=False) == (8, 28)


@pytest.mark.parametrize("quote", [QUOTE[:27], b"", b"\x65" + QUOTE[1:], b"\x44" + QUOTE[1:], b"\x46" + QUOTE[1:]])
def test_bad_quotes(quote: bytes) -> None:
    assert found(bytes(ICMP(type=3) / Raw(quote))) == (-1, -1)


@settings(deadline=None)
@given(st.binary(max_size=80))
def test_any_bytes(message: bytes) -> None:
    inner, layer4 = found(message, finished=False)
    assert inner == -1 or inner + 20 <= layer4 <= len(message) - 8
