from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.derive.prefixes import Prefixes, number_of

MAPPED = bytes(10) + b"\xff\xff"


@given(st.binary(min_size=4, max_size=4), st.integers(0, 32))
def test_of_ipv4(packed: bytes, length: int) -> None:
    prefix = ip_network((packed, length), strict=False)
    assert Prefixes(v4=length).of(MAPPED + packed) == str(prefix)
    assert number_of(MAPPED + packed) == (4, int(ip_address(packed)))


@given(st.binary(min_size=16, max_size=16).filter(lambda b: not b.startswith(MAPPED)), st.integers(0, 128))
def test_of_ipv6(packed: bytes, length: int) -> None:
    assert Prefixes(v6=length).of(packed) == str(ip_network((packed, length), strict=False))
    assert number_of(packed) == (6, int(ip_address(packed)))


@pytest.mark.parametrize(("ip", "prefix"), [("192.0.2.77", "192.0.2.0/24"), ("2001:db8:1:2::3", "2001:db8:1::/48")])
def test_unless_told_otherwise(ip: str, prefix: str) -> None:
    packed = ip_address(ip).packed
    assert Prefixes().of(packed if len(packed) == 16 else MAPPED + packed) == prefix
