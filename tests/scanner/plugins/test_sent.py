"""Positions as targets: what `longline iterate` prints for the same scan."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest

from stages.scanner.iterate import iterate
from stages.scanner.plugins.sent import finder
from tests.scanner.plugins.conftest import prepared


@pytest.mark.parametrize("more", [{}, {"shards": 3, "shard": 1}, {"max_targets": "9"}])
def test_the_order_of_the_scan(more: dict[str, object]) -> None:
    scan = prepared("10.0.0.0/28", "192.0.2.0/31", "2001:db8::/127", **more)
    lines: list[bytes] = []
    iterate(scan, lambda data: lines.append(bytes(data)), binary=False, ports=True)
    wanted = [line for line in b"".join(lines).decode().splitlines() if ":" not in line]
    find = finder(scan)
    found = [find(first, first + 4) for first in range(0, scan.spec.last, 4)]
    got = [
        f"{IPv4Address(int(address))},{port}"
        for addresses, ports in found
        for address, port in zip(addresses.tolist(), ports.tolist(), strict=True)
    ]
    assert got == wanted


def test_ipv6_alone_has_none() -> None:
    addresses, ports = finder(prepared("2001:db8::/126"))(0, 8)
    assert (addresses.size, ports.size) == (0, 0)
