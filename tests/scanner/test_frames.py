from __future__ import annotations

import socket
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP
from scapy.layers.l2 import Dot1Q, Ether

from stages.scanner import probes
from stages.scanner.frames import FrameBuilder
from stages.scanner.permutation import Permutation
from stages.scanner.space import Space
from stages.scanner.validation import Tag

SECRET = bytes(range(16))
OURS, GATEWAY = bytes.fromhex("020000000001"), bytes.fromhex("0200000000fe")
PORTS = (40000, 40009)


def text(address: int) -> str:
    return socket.inet_ntoa(address.to_bytes(4, "big"))


def builder(
    name: str = "tcp_synscan",
    args: str = "",
    *,
    probes_each: int = 1,
    sources: int = 1,
    ports: tuple[int, ...] = (80, 443),
    **more: Any,
) -> FrameBuilder:
    space = Space.build([(10 << 24, (10 << 24) + 999), (0xDFFFFF00, 0xDFFFFFFF)], ports)
    return FrameBuilder(
        space, Permutation(space.size, 9), probes.get(name, args), SECRET,
        source_ips=tuple(range(0xC0000202, 0xC0000202 + sources)), source_ports=PORTS, source_mac=OURS,
        gateway_mac=GATEWAY, ttl=77, probes=probes_each, batch=40, **more,
    )  # fmt: skip


def check(frame: bytes) -> Ether:
    """scapy agrees with every length and checksum."""
    seen = Ether(frame)
    again = seen.copy()
    for layer in (IP, TCP, ICMP):
        if layer in again:
            again[layer].chksum = None
            if layer is IP:
                again[layer].len = None
    assert bytes(again) == frame
    assert (seen.dst, seen.src, seen[IP].ttl) == (GATEWAY.hex(":"), OURS.hex(":"), 77)
    return seen


@pytest.mark.parametrize(
    ("args", "each", "sources"), list(product(("smallest-probes", "bsd", "windows", "linux"), (1, 3), (1, 4)))
)
def test_syn_frames(args: str, each: int, sources: int) -> None:
    made = builder(args=args, probes_each=each, sources=sources)
    assert made.fill(100, 40, 123_456_789) == 40 * each
    for row in range(40 * each):
        target, attempt = divmod(row, each)
        address, port = int(made.address[target]), int(made.port[target])
        seen = check(made.frame(row))
        source = 0xC0000202 + (address + attempt) % sources
        tag = Tag.of(SECRET, source, address, port)
        assert (seen[IP].src, seen[IP].dst, seen[TCP].dport) == (text(source), text(address), port)
        assert (seen[TCP].seq, seen[TCP].sport) == (tag.sequence, tag.source_port(PORTS, attempt))
        assert (seen[TCP].flags, seen[TCP].ack) == ("S", 0)
        if args in ("bsd", "linux"):
            assert dict(seen[TCP].options)["Timestamp"] == (123_456_789, 0)


@pytest.mark.parametrize(("args", "each", "sources"), list(product(("", "text:hello", "hex:0102fe"), (1, 2), (1, 3))))
def test_echo_frames(args: str, each: int, sources: int) -> None:
    made = builder("icmp_echoscan", args, probes_each=each, sources=sources, ports=(0,))
    made.fill(0, 40)
    for row in range(40 * each):
        target, attempt = divmod(row, each)
        address = int(made.address[target])
        seen = check(made.frame(row))
        source = 0xC0000202 + (address + attempt) % sources
        tag = Tag.of(SECRET, source, address, 0)
        assert (seen[IP].src, seen[IP].dst) == (text(source), text(address))
        assert (seen[ICMP].id, seen[ICMP].seq) == (tag.echo_id, tag.echo_sequence(attempt))
        assert bytes(seen[ICMP].payload) == {"": bytes(20), "text:hello": b"hello", "hex:0102fe": b"\x01\x02\xfe"}[args]


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2511), st.integers(1, 40))
def test_frames_do_not_depend_on_the_batch(first: int, count: int) -> None:
    made, single = BUILT
    count = min(count, 2512 - first)
    made.fill(first, count)
    together = [made.frame(row) for row in range(count)]
    apart = []
    for position in range(first, first + count):
        single.fill(position, 1)
        apart.append(single.frame(0))
    assert together == apart


BUILT = (builder(), builder())


def test_every_target_once() -> None:
    made = builder()
    seen = set()
    for first in range(0, 2512, 40):
        rows = made.fill(first, min(40, 2512 - first))
        seen |= {(int(a), int(p)) for a, p in zip(made.address[:rows], made.port[:rows], strict=True)}
    assert len(seen) == 2512


@pytest.mark.parametrize("vlan", [0, 5, 4094])
def test_a_tag_stands_between_the_macs_and_the_type(vlan: int) -> None:
    plain, tagged = builder(args="smallest-probes"), builder(args="smallest-probes", vlan=vlan, blocks=2)
    assert (tagged.offset, tagged.length, plain.length) == (-4, 58, 58)
    plain.fill(100, 40)
    for block in (0, 1, 0):
        tagged.fill(100, 40, block=block)
        for row in range(40):
            untagged, frame = plain.frame(row), tagged.frame(row)
            assert frame == untagged[:12] + b"\x81\x00" + vlan.to_bytes(2, "big") + untagged[12:]
    assert Ether(tagged.frame(3))[Dot1Q].vlan == vlan


def test_without_a_link_header() -> None:
    plain, bare = builder(), builder(link_header=False)
    plain.fill(0, 40)
    bare.fill(0, 40)
    assert [bare.frame(row) for row in range(40)] == [plain.frame(row)[14:] for row in range(40)]


def test_blocks_are_apart() -> None:
    made = builder(blocks=3)
    kept = []
    for block in (2, 0, 1):
        made.fill(40 * block, 40, block=block)
        kept.append((block, [made.frame(row) for row in range(40)], made.frames))
    for block, frames, rows in kept:
        assert rows is not made.frames or block == 1
        assert np.shares_memory(rows, made.blocks[block])
        assert [rows[row, : made.length].tobytes() for row in range(40)] == frames


def fill_short(words: Any, address: Any, port: Any, constants: Any, source: Any, tags: Any, lengths: Any) -> None:
    """A probe whose frames differ in length."""
    probes.get("tcp_synscan").fill(words, address, port, constants, source, tags)
    lengths[:] = 54 + np.arange(lengths.size) % 3


def test_a_module_says_how_long_each_frame_is() -> None:
    space = Space.build([(10 << 24, (10 << 24) + 999)], (80,))
    probe = replace(probes.get("tcp_synscan"), fill=fill_short, lengths=True, max_length=200)
    made = FrameBuilder(
        space, Permutation(1000, 9), probe, SECRET, source_ips=(1,), source_ports=PORTS, batch=40, vlan=5
    )
    assert made.lengths is not None
    assert made.frames.shape[1] == 256  # room for the longest
    made.fill(0, 40)
    assert [len(made.frame(row)) for row in range(40)] == [58 + row % 3 for row in range(40)]


def test_memory_of_somebody_else() -> None:
    given = np.full(1 << 16, 9, np.uint8)
    asked = []

    def allocate(size: int) -> np.ndarray:
        asked.append(size)
        return given

    made = builder(allocate=allocate, blocks=2)
    assert np.shares_memory(made.blocks, given)
    assert made.blocks.size == asked[0]
    assert made.blocks.ctypes.data == given.ctypes.data


def test_rows_begin_on_cache_lines() -> None:
    made = builder()
    assert made.frames.strides[0] % 64 == 0
    assert made.frames.ctypes.data % 64 == 0
    assert made.frames.dtype == np.uint8


def test_a_bad_secret() -> None:
    space = Space.build([(1, 2)], (80,))
    with pytest.raises(ValueError, match="16 bytes"):
        FrameBuilder(
            space, Permutation(2, 1), probes.get("tcp_synscan"), b"short", source_ips=(1,), source_ports=(1, 2)
        )
