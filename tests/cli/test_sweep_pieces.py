from __future__ import annotations

import argparse
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from stages.campaign.schedule import Lane, Turn
from stages.campaign.sweep import Another, Job
from stages.cli.sections import load_settings
from stages.cli.sweep_pieces import Pieces
from stages.core.errors import UsageError
from stages.scanner import checkpoint as checkpoints
from tests.campaign.material import campaign

FULL, KNOWN = Lane("a", "full", "local"), Lane("a", "known", "local")


def pieces(folder: Path, *, lists: dict[str, Any] | None = None, **scanner: Any) -> Pieces:
    loaded = load_settings(argparse.Namespace())
    scanner = {"targets": ("10.0.0.0/24",), "target_ports": "80,443", "rate": 1_000.0, **scanner}
    return Pieces(loaded.changed("scanner", **scanner).changed("lists", **(lists or {})), folder / "a")


def job(lane: Lane = FULL, pairs: list[tuple[str, int]] | None = None, **more: object) -> Job:
    return Job(campaign("a", known_every=100, **more), Turn(lane, 1, 0.0, False), pairs)


def mapped(ip: str) -> bytes:
    return bytes(10) + b"\xff\xff" + ip_address(ip).packed


def test_a_full_sweep_is_one_scan_at_a_rate_that_fills_its_window(tmp_path: Path) -> None:
    [piece] = pieces(tmp_path).of(job(full_every=1_000, spread=0.5))
    assert (piece.settings.scan, piece.settings.vantage) == ("a-full-000001", "local")
    assert piece.settings.rate == pytest.approx(512 / 500)
    [fast] = pieces(tmp_path).of(job(spread=0))
    assert fast.settings.rate == 1_000


def test_the_record_of_each_scan_says_under_which_approval(tmp_path: Path) -> None:
    of = pieces(tmp_path, approval="board 17")
    assert [piece.settings.approval for piece in of.of(job())] == ["board 17"]
    two = of.of(job(KNOWN, [("10.0.0.1", 80), ("10.0.0.3", 443)]))
    assert [piece.prepared().spec.approval for piece in two] == ["board 17"] * 2
    assert of.listed("a-controls-0", ["10.0.0.1"], [80]).approval == "board 17"


def test_a_refresh_is_a_scan_for_each_group(tmp_path: Path) -> None:
    of = pieces(tmp_path)
    pairs = [("10.0.0.1", 80), ("10.0.0.2", 80), ("10.0.0.3", 443)]
    one, other = of.of(job(KNOWN, pairs))
    assert (one.settings.scan, one.settings.target_ports) == ("a-known-000001-0", "80")
    assert (other.settings.scan, other.settings.target_ports) == ("a-known-000001-1", "443")
    assert one.prepared().spec.size == 2
    covers = of.covers(job(KNOWN, pairs))
    assert covers(mapped("10.0.0.1"), 80, "tcp")
    assert not covers(mapped("10.0.0.1"), 443, "tcp")
    assert not covers(mapped("10.0.0.1"), 80, "udp")


def test_a_list_that_changes_changes_no_sweep_that_has_begun(tmp_path: Path) -> None:
    block = tmp_path / "block"
    block.write_text("10.0.0.7\n")
    of = pieces(tmp_path, lists={"blocklist_file": (str(block),)})
    [piece] = of.of(job())
    begun = piece.prepared()
    block.write_text("10.0.0.0/25\n")
    [again] = of.of(job())
    assert again.prepared(begun.checkpoint).spec.size == begun.spec.size == 255 * 2
    covers = of.covers(job())
    assert not covers(mapped("10.0.0.9"), 80, "tcp"), "whom it leaves alone by now it has not probed"
    assert covers(mapped("10.0.0.200"), 80, "tcp")
    assert not covers(mapped("10.0.1.1"), 80, "tcp")
    assert not covers(mapped("10.0.0.200"), 22, "tcp")
    of.clear("a-full-000001")
    [anew] = of.of(job())
    assert anew.prepared().spec.size == 128 * 2


def test_a_sweep_that_is_about_something_else_now_is_another_one(tmp_path: Path) -> None:
    [piece] = pieces(tmp_path).of(job())
    begun = piece.prepared().checkpoint
    checkpoints.write(piece.checkpoint, begun)
    [other] = pieces(tmp_path, target_ports="80").of(job())
    held = other.held()
    assert held is not None
    with pytest.raises(Another, match="another one"):
        other.prepared(held)


def test_nothing_of_another_sweep_is_cleared(tmp_path: Path) -> None:
    of = pieces(tmp_path)
    of.folder.mkdir()
    kept = [of.folder / "a-full-0000010.checkpoint", of.folder / "a-full-000002.checkpoint", of.folder / "notes.txt"]
    gone = [of.folder / "a-full-000001.checkpoint", of.folder / "a-full-000001-3.addresses"]
    for file in (*kept, *gone):
        file.touch()
    of.clear("a-full-000001")
    assert sorted(of.folder.iterdir()) == sorted(kept)


def test_a_list_that_is_not_there_is_named(tmp_path: Path) -> None:
    of = pieces(tmp_path, lists={"blocklist_file": (str(tmp_path / "none"),)})
    with pytest.raises(UsageError, match="none"):
        of.of(job())


def test_probes_without_ports(tmp_path: Path) -> None:
    of = pieces(tmp_path, probe_module="icmp_echoscan", target_ports=None)
    assert of.covers(job())(mapped("10.0.0.1"), 0, "icmp")
    assert not of.covers(job())(mapped("10.0.0.1"), 80, "icmp")
    [piece] = of.of(job(KNOWN, [("10.0.0.1", 0)]))
    assert piece.prepared().spec.size == 1
