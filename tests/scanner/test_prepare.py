from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from stages.core.errors import ListError, UsageError
from stages.core.settings import ListSettings
from stages.scanner.prepare import Slice, another_secret, scan_name
from tests.servers.preparing import NOW, prepared


def test_everything_that_replays_the_scan_is_in_its_specification() -> None:
    scan = prepared("10.0.0.0/28", target_ports="443,80", vantage="v", max_targets="50%")
    spec = scan.spec
    assert (spec.ports, spec.seed, spec.addresses, spec.size, spec.last) == ("80,443", 1, 16, 32, 16)
    assert spec.ranges == ("10.0.0.0-10.0.0.15",)
    assert spec.lifted == ("10.0.0.0/8",)
    assert spec.started == "2026-11-21T07:10:00.000000Z"
    assert spec.scan == "20261121T071000Z-0000000000000001" == scan_name(NOW, 1)
    assert scan.checkpoint.identity == spec.identity()
    assert scan.checkpoint.secret.hex() not in str(spec.record())


def test_seed_and_secret_are_drawn() -> None:
    scan = prepared(seed=None)
    assert scan.spec.seed == 0
    assert scan.checkpoint.secret == bytes(16)


def test_another_secret_and_all_else_as_it_was() -> None:
    scan = prepared("10.0.0.0/28")
    other = another_secret(scan, random=lambda count: b"x" * count)
    assert other.checkpoint.secret == b"x" * 16 != scan.checkpoint.secret
    assert replace(other, checkpoint=scan.checkpoint) == scan
    assert replace(other.checkpoint, secret=scan.checkpoint.secret) == scan.checkpoint


def test_very_many_ranges_are_a_digest() -> None:
    scan = prepared(*(f"9.{i >> 7}.{i & 127}.0/32" for i in range(10_001)))
    assert scan.spec.ranges is None
    assert len(scan.spec.targets_digest) == 32


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"target_ports": None}, "-p/--target-ports: tcp_synscan needs to know which ports to scan"),
        ({"probe_module": "icmp_echoscan"}, "-p/--target-ports: '80': icmp_echoscan has no ports"),
        (
            {"engine": "connect", "probe_module": "udp"},
            "--engine: 'connect': ordinary connections are tcp_synscan alone, -M/--probe-module udp needs packets",
        ),
        (
            {"engine": "connect", "probe_module": "icmp_echoscan", "target_ports": None},
            "--engine: 'connect': ordinary connections are tcp_synscan alone, -M/--probe-module icmp_echoscan needs",
        ),
        (
            {"output_fields": "saddr,nonsense"},
            "-f/--output-fields: 'saddr,nonsense': tcp_synscan has no field 'nonsense'",
        ),
    ],
)
def test_arguments_that_do_not_go_together(fields: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        prepared(**fields)


@pytest.mark.parametrize("targets", [("fd00::1",), ("10.0.0.0/28", "fd00::/120")])
def test_what_ipv6_targets_cannot_be_asked(targets: tuple[str, ...]) -> None:
    """Before the IPv4 ones among them are asked."""
    with pytest.raises(UsageError, match=r"^IPv6 targets: .* -M/--probe-module dns needs packets"):
        prepared(*targets, probe_module="dns")


def test_icmp_has_one_target_an_address() -> None:
    scan = prepared(target_ports=None, probe_module="icmp_echoscan")
    assert (scan.spec.size, scan.spec.ports, scan.ports) == (16, "", (0,))


def test_lists_are_read_and_named(tmp_path: Path) -> None:
    block = tmp_path / "block"
    block.write_text("10.0.0.0/29\n")
    lists = ListSettings(blocklist_file=(str(block),))
    spec = prepared(lists=lists).spec
    assert spec.addresses == 8
    assert spec.excluded == {"blocklist": 8, "special": 0, "allowlist": 0}
    assert spec.blocklist_files == (str(block),)
    block.write_text("10.0.0.0/29\nnot a network!\n")
    with pytest.raises(ListError, match=f"{block}:2: 'not a network!'"):
        prepared(lists=lists)
    block.write_text("10.0.0.0/8\n")
    with pytest.raises(UsageError, match="nothing is left to scan"):
        prepared(lists=lists)


def test_slices() -> None:
    assert prepared().slices == [Slice(4, 16, 0, 0, 16)]
    mixed = prepared("10.0.0.0/30", "fd00::1-fd00::2", target_ports="1-2")
    assert mixed.slices == [Slice(4, 8, 0, 0, 8), Slice(6, 4, 8, 0, 4)]
    assert prepared("10.0.0.0/30", "fd00::1", target_ports="1-2", max_targets="5").slices == [Slice(4, 8, 0, 0, 5)]
    assert prepared("fd00::1").slices == [Slice(6, 1, 0, 0, 1)]


def test_going_on_from_a_checkpoint() -> None:
    first = prepared("10.0.0.0/30", "fd00::1-fd00::2", seed=None, scan="mine")
    half = prepared("10.0.0.0/30", "fd00::1-fd00::2", seed=None, held=first.checkpoint.at(3))
    assert half.spec.scan == "mine"
    assert half.slices == [Slice(4, 4, 0, 3, 4), Slice(6, 2, 4, 0, 2)]
    last = prepared("10.0.0.0/30", "fd00::1-fd00::2", seed=None, held=first.checkpoint.at(5))
    assert last.slices == [Slice(6, 2, 4, 1, 2)]
    assert prepared("10.0.0.0/30", "fd00::1-fd00::2", held=first.checkpoint.at(6), seed=0).slices == []


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"target_ports": "81"}, "another one: ports: '80' -> '81'"),
        ({"seed": 2}, "another one: seed: 1 -> 2"),
        ({"max_targets": "7"}, "another one: last: 16 -> 7"),
        ({"probes": 2}, "another one: probes: 1 -> 2"),
        ({"scan": "other"}, "'other': the checkpoint is of scan 20261121T071000Z"),
    ],
)
def test_a_changed_scan_is_refused_with_the_difference(fields: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        prepared(held=prepared().checkpoint, **fields)


def test_other_targets_are_refused() -> None:
    with pytest.raises(UsageError, match="addresses: 16 -> 8"):
        prepared("10.0.0.0/29", held=prepared().checkpoint)
    with pytest.raises(UsageError, match="targets_digest"):
        prepared("10.0.1.0/28", held=prepared().checkpoint)


def test_rate_and_engine_may_change() -> None:
    assert prepared(held=prepared().checkpoint, rate=1, engine="connect", cooldown_time=1).slices


def test_a_piece_of_a_scan() -> None:
    """--first-target and -n: pieces of one order, and a shard's own part of them."""
    fields = {"target_ports": "80", "first_target": 100, "max_targets": "50"}
    (piece,) = prepared("10.0.0.0/24", **fields).slices
    assert (piece.first, piece.last) == (100, 150)
    shards = [prepared("10.0.0.0/24", **fields, shards=3, shard=shard).slices[0] for shard in range(3)]
    assert sorted(3 * at + n for n, part in enumerate(shards) for at in range(part.first, part.last)) == list(
        range(100, 150)
    )
    for wrong, named in (({"first_target": 256}, "there are 256 targets"), ({"seed": None}, "needs --seed")):
        with pytest.raises(UsageError, match=named):
            prepared("10.0.0.0/24", **fields | wrong)
