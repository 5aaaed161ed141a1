from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from stages.net.spans import Spans
from stages.scanner import probes
from stages.scanner.frames import FrameBuilder
from stages.scanner.nexthop import NextHops
from stages.scanner.permutation import Permutation
from stages.scanner.space import Space

BASE = 10 << 24
SIZE = 200
GATEWAY = bytes.fromhex("020000000001")
OURS = bytes.fromhex("020000000002")
NEAR = [(BASE + 20, BASE + 59), (BASE + 100, BASE + 149)]
KNOWN = {BASE + at: bytes([2, 0, 0, 1, 0, at]) for at in (20, 21, 59, 77, 100, 130, 149)}  # 77 lies outside


def fill_lengths(words: Any, address: Any, port: Any, constants: Any, source: Any, tags: Any, lengths: Any) -> None:
    """A probe whose frames differ in length."""
    probes.get("tcp_synscan").fill(words, address, port, constants, source, tags)
    lengths[:] = 60 + np.arange(lengths.size) % 6


def builder(lengths: bool = False, **more: object) -> FrameBuilder:
    probe = probes.get("tcp_synscan")
    if lengths:
        probe = replace(probe, fill=fill_lengths, lengths=True, max_length=65)
    space = Space.build([(BASE, BASE + SIZE - 1)], (80,))
    return FrameBuilder(
        space, Permutation(SIZE, 5), probe, bytes(16), source_ips=(1,), source_ports=(1, 9),
        source_mac=OURS, gateway_mac=GATEWAY, batch=SIZE, probes=2, **more,  # type: ignore[arg-type]
    )  # fmt: skip


def address_of(frame: bytes, tag: int) -> int:
    return int.from_bytes(frame[30 + tag : 34 + tag], "big")


@pytest.mark.parametrize("gateway", [GATEWAY, None])
@pytest.mark.parametrize("vlan", [None, 7])
@pytest.mark.parametrize("lengths", [False, True])
def test_every_row_has_the_mac_of_its_next_hop(gateway: bytes | None, vlan: int | None, lengths: bool) -> None:
    made, plain = builder(lengths, vlan=vlan, blocks=2), builder(lengths, vlan=vlan)
    hops = NextHops(made, made, Spans.of(NEAR), KNOWN, gateway)
    plain.fill(0, SIZE)
    frames = [plain.frame(row) for row in range(2 * SIZE)]
    tag = 0 if vlan is None else 4
    for block in (1, 0, 1):  # a block is used again, with MACs of others in it
        kept = hops.fill(0, SIZE, block=block)
        right = []
        for row, frame in enumerate(frames):
            target = address_of(frame, tag)
            near = any(first <= target <= last for first, last in NEAR)
            mac = KNOWN.get(target) if near else gateway
            if mac is not None:
                right.append(mac + frame[6:])
                assert len(frame) == tag + (60 + row % 6 if lengths else 66)
        assert [made.frame(row) for row in range(kept)] == right
    everywhere = SIZE - 90 if gateway else 0
    assert hops.left_out == 3 * 2 * (SIZE - everywhere - 6)


def test_nobody_is_near() -> None:
    made = builder()
    hops = NextHops(made, made, Spans.of([]), {}, GATEWAY)
    assert hops.fill(0, 10) == 20
    assert hops.left_out == 0
