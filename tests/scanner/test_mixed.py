"""A mixed scan: its frames are those of its parts, its order is one, and what is found is what is there."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stages.net import bpf
from stages.scanner import order as orders
from stages.scanner import probes
from stages.scanner.frames import FrameBuilder
from stages.scanner.mixed import MixedFrames, Module, frame_bytes, joined
from stages.scanner.parts import parse_part, slots
from stages.scanner.permutation import Permutation
from stages.scanner.space import SLOTS, Space
from tests.servers.veth import Veth, veth

PARTS = ("tcp_synscan:80,443 linux", "udp:53,161", "icmp_echoscan text:hello")
PREFIX = "10.0.0.0/26"
HOSTS = {f"10.0.0.{n}" for n in range(64)}
RANGES = [(10 << 24, (10 << 24) + 36), ((10 << 24) + 99, (10 << 24) + 120)]
SECRET = bytes(range(16))
SOURCES: Any = {"source_ips": (0x0A010101, 0x0A010102), "source_ports": (40_000, 40_100), "batch": 50}


def modules() -> list[Module]:
    parts = [parse_part(text) for text in PARTS]
    return [Module(probes.get(part.probe, part.args), part.ports) for part in parts]


def space() -> Space:
    return Space.build(RANGES, slots([parse_part(text) for text in PARTS]), most=SLOTS)


@pytest.mark.parametrize("more", [{}, {"probes": 2, "vlan": 7}, {"link_header": False}, {"blocks": 2}])
def test_each_frame_is_its_own_parts(more: dict[str, Any]) -> None:
    whole = space()
    permutation = Permutation(whole.size, 5)
    mixed = MixedFrames(modules(), whole, permutation, SECRET, **SOURCES, **more)
    alone = [
        FrameBuilder(whole.of_ports(m.ports), permutation, m.probe, SECRET, **SOURCES | more | {"batch": 1},
                     order=orders.build(permutation, whole))
        for m in modules()
    ]  # fmt: skip
    probes_each = more.get("probes", 1)
    seen = []
    for first in range(0, whole.size, 50):
        count = min(50, whole.size - first)
        block = (first // 50) % more.get("blocks", 1)
        assert mixed.fill(first, count, 1_700_000_000_123, 0, block) == count * probes_each
        addresses, ports = whole.at(permutation.at(np.arange(first, first + count, dtype=np.uint64)))
        for i, (address, slot) in enumerate(zip(addresses.tolist(), ports.tolist(), strict=True)):
            seen.append((address, slot))
            one = alone[slot >> 16]
            one.write(np.array([address], np.uint64), np.array([slot & 0xFFFF], np.uint64), 1_700_000_000_123)
            for k in range(probes_each):
                assert mixed.frame(i * probes_each + k) == one.frame(k)
    assert len(seen) == len(set(seen)) == whole.size


def test_the_targets_of_a_batch_have_their_ports() -> None:
    whole = space()
    mixed = MixedFrames(modules(), whole, Permutation(whole.size, 5), SECRET, **SOURCES)
    mixed.fill(0, 50)
    ports = np.frombuffer(mixed.targets_of(50), [("ip", ">u4"), ("port", ">u2")])["port"].tolist()
    assert set(ports) == {0, 53, 80, 161, 443}


def test_the_mean_frame_is_what_bandwidth_counts() -> None:
    loaded = modules()
    sizes = [module.probe.max_length for module in loaded]
    assert frame_bytes(loaded) == (2 * sizes[0] + 2 * sizes[1] + sizes[2]) / 5
    assert joined(loaded).max_length == max(sizes)


def test_the_filter_keeps_what_any_part_would(pair: Veth) -> None:
    """On a socket: the kernel takes the program, and each part's packets come through (the scan below)."""
    programs = [module.probe.filter((40_000, 40_100)) for module in modules()]
    whole = bpf.either(programs)
    assert len(whole) == sum(map(len, programs))
    assert bpf.either(programs[:1]) == programs[0]


@pytest.fixture(scope="module")
def pair() -> Iterator[Veth]:
    with veth() as made:
        made.far("sysctl", "-qw", "net.ipv4.icmp_ratelimit=0")
        with (
            made.program(made.far_pid, sys.executable, "-m", "tests.servers.datagrams", "53=echo", ready="ready"),
            made.program(made.far_pid, sys.executable, "-m", "tests.servers.listener", "80", ready="ready"),
        ):
            yield made


def scan(pair: Veth, *argv: str) -> list[dict[str, Any]]:
    whole = ["-m", "stages.cli.main", "scan", "-q", "-c", "1", "-r", "4000", "-O", "json", "-f", "*", *argv, PREFIX]
    return [json.loads(line) for line in pair.near(sys.executable, *whole).stdout.splitlines()]


MIX = ("--probe", "tcp_synscan:80,443", "--probe", "udp:53,54 text:hello", "--probe", "icmp_echoscan")


def test_what_is_found_is_what_is_there(pair: Veth) -> None:
    rows = scan(pair, *MIX)
    got = {(row["proto"], row.get("sport", 0), row["saddr"]): row["classification"] for row in rows}
    assert len(got) == len(rows) == 5 * 64
    kinds = {
        ("tcp", 80): "synack",
        ("tcp", 443): "rst",
        ("udp", 53): "udp",
        ("udp", 54): "icmp",
        ("icmp", 0): "echoreply",
    }
    assert got == {(*target, host): kind for target, kind in kinds.items() for host in HOSTS}
    assert all(row["success"] is (row["classification"] in ("synack", "udp", "echoreply")) for row in rows)


def test_shards_and_a_part_of_the_space_add_up(pair: Veth) -> None:
    whole = Counter[tuple[str, int, str]]()
    for shard in ("0", "1", "2"):
        rows = scan(pair, *MIX, "--seed", "9", "--shards", "3", "--shard", shard)
        whole.update((row["proto"], row.get("sport", 0), row["saddr"]) for row in rows)
    assert len(whole) == 5 * 64
    assert set(whole.values()) == {1}


def test_hits_are_records_of_their_own_probe(pair: Veth) -> None:
    argv = ["-m", "stages.cli.main", "scan", "-q", "-c", "1", "-r", "4000", "-O", "hits", *MIX, PREFIX]
    hits = [json.loads(line) for line in pair.near(sys.executable, *argv).stdout.splitlines()]
    found = Counter((hit["probe"], hit["transport"], hit["port"]) for hit in hits)
    assert found == {
        ("tcp_synscan", "tcp", 80): 64, ("udp", "udp", 53): 64, ("icmp_echoscan", "icmp", 0): 64
    }  # fmt: skip
    assert len({hit["id"] for hit in hits}) == len(hits)


def test_retries_stop_for_who_answered(pair: Veth) -> None:
    rows = scan(pair, *MIX, "--retries", "1", "--retry-interval", "0.5")
    assert len(rows) == 5 * 64
    assert {row["attempt"] for row in rows} == {0}


def test_a_checkpoint_is_of_this_mix(pair: Veth, tmp_path: Path) -> None:
    """The identity holds the parts: another list of them is another scan."""
    held = tmp_path / "scan.checkpoint"
    scan(pair, *MIX, "--checkpoint", str(held), "-n", "20")
    told = pair.near(
        sys.executable, "-m", "stages.cli.main", "scan", "-q", "--resume", str(held), "-n", "20",
        "--probe", "tcp_synscan:80,443", "--probe", "udp:53", PREFIX, check=False,
    )  # fmt: skip
    assert told.returncode == 2
    assert "probe: 'tcp_synscan+udp+icmp_echoscan' -> 'tcp_synscan+udp'" in told.stderr


def test_a_dry_run_shows_all_parts(pair: Veth) -> None:
    argv = ["-m", "stages.cli.main", "scan", "-q", "-d", *MIX, PREFIX]
    text = pair.near(sys.executable, *argv).stdout
    assert (text.count("tcp {"), text.count("udp {"), text.count("icmp {")) == (128, 128, 64)


@pytest.mark.parametrize(
    ("argv", "named"),
    [
        (("--probe", "tcp_synscan:80", "-p", "80"), "-p besides has no place"),
        (("--probe", "tcp_synscan"), "tcp_synscan:PORTS"),
        ((*MIX, "--engine", "connect"), "needs packets"),
        ((*MIX, "-f", "sprot"), "this mixed scan has no field 'sprot'; did you mean 'sport'?"),
        (("--probe", "tcp_synscan:80", "--probe", "udp:53 what:x"), "'udp:53 what:x'"),
    ],
)
def test_what_cannot_be(pair: Veth, argv: tuple[str, ...], named: str) -> None:
    told = pair.near(sys.executable, "-m", "stages.cli.main", "scan", "-q", *argv, PREFIX, check=False)
    assert (told.returncode, told.stdout) == (2, "")
    assert named in told.stderr
