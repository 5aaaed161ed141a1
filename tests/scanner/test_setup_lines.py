"""What `-v 4` tells of a set-up."""

from __future__ import annotations

import pytest

from stages.core.settings import ListSettings
from stages.net.path import Path
from stages.scanner import setup_lines
from stages.scanner.permutation import Permutation
from stages.scanner.prepare import prepare
from stages.scanner.settings import ScannerSettings
from stages.scanner.space import Space

MAC, OTHER = bytes.fromhex("020000000001"), bytes.fromhex("020000000002")


def test_lists() -> None:
    settings = ScannerSettings(targets=("192.0.0.0/16",), target_ports="80")
    spec = prepare(settings, ListSettings(), now_us=0, resolve=None).spec
    assert setup_lines.of_lists(spec) == "lists: 65,026 addresses allowed to be scanned, left out: 510 special"


@pytest.mark.parametrize(("first", "shard", "shards", "index"), [(0, 0, 1, 0), (3, 1, 2, 7), (4, 0, 1, 3)])
def test_order_begins_where_the_scan_does(first: int, shard: int, shards: int, index: int) -> None:
    """The last one: there is no position left, and the last is named."""
    ranges = [(0x0A000000, 0x0A000007 if shards == 2 else 0x0A000003)]
    space = Space.build(ranges, (80,))
    order = Permutation(space.size, 5)
    wanted = 0x0A000000 + order.one(index)
    line = setup_lines.of_order(order, space, first, shard, shards)
    assert line.startswith(f"order: {space.size} positions, ")
    assert line.endswith(f"shard {shard} of {shards} begins with 10.0.0.{wanted & 255}")


@pytest.mark.parametrize(
    ("way", "given", "line"),
    [
        (Path("eth0", 1, MAC, OTHER, 0x0A000001, 1500), False,
         "interface: no interface provided, will use eth0, MTU 1500, frames from 02:00:00:00:00:01 to "
         "02:00:00:00:00:02 (gateway 10.0.0.1)"),
        (Path("eth0", 1, MAC, None, None, 1500), True,
         "interface: eth0, MTU 1500, frames from 02:00:00:00:00:01 to the targets themselves"),
        (Path("tun0", 1, bytes(6), None, None, 1400, ethernet=False), True,
         "interface: tun0, MTU 1400, no Ethernet headers"),
    ],
)  # fmt: skip
def test_way(way: Path, given: bool, line: str) -> None:
    assert setup_lines.of_way(way, given=given) == line


def test_sending() -> None:
    """The rate of the seed's manual: 10 Mbit/s of minimum frames."""
    line = setup_lines.of_sending((1,), (32768, 61000), 14_880, 54, 16)
    assert line == (
        "send: will send from 1 address on 28,233 source ports, rate set to 14,880 pkt/s, 9,999,360 bits/s on the "
        "wire, 16 targets a batch"
    )
    assert "no limit to the rate" in setup_lines.of_sending((1, 2), (1, 1), 0, 54, 16)


def test_receiving() -> None:
    assert setup_lines.of_receiving(2, 17) == "recv: 2 threads started, kernel filter of 17 instructions"
