"""-sL: every target once, in the order of the scan."""

from __future__ import annotations

from tests.cli.command import longline


def listed(*words: str) -> list[str]:
    done = longline("masscan", "--no-system-config", "-sL", *words)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_addresses_alone() -> None:
    assert sorted(listed("10.0.0.0/30")) == [f"10.0.0.{n}" for n in range(4)]


def test_with_ports_of_several_kinds() -> None:
    found = listed("10.0.0.0/31", "-p80,U:53", "--ping", "--exclude", "10.0.0.0", "--seed", "5")
    assert sorted(found) == ["10.0.0.1:80", "10.0.0.1:I:0", "10.0.0.1:U:53"]


def test_shards_and_slices_are_the_whole() -> None:
    whole = listed("10.0.0.0/25", "-p80,81,U:53", "--seed", "5")
    assert len(whole) == len(set(whole)) == 128 * 3
    shards = [listed("10.0.0.0/25", "-p80,81,U:53", "--seed", "5", "--shard", f"{n}/3") for n in (1, 2, 3)]
    assert [target for three in zip(*shards, strict=True) for target in three] == whole
    pieces = []
    for first in range(0, 384, 100):
        words = ("--resume-index", str(first), "--resume-count", "100")
        pieces += listed("10.0.0.0/25", "-p80,81,U:53", "--seed", "5", *words)
    assert pieces == whole


def test_a_piece_behind_the_end() -> None:
    done = longline("masscan", "--no-system-config", "-sL", "10.0.0.0/30", "-p80", "--resume-index", "4")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--first-target: 4: there are 4 targets" in done.stderr


def test_ranges_without_what_is_excluded() -> None:
    words = ("--readrange", "10.0.0.0/24", "--exclude", "10.0.0.128/25", "--no-system-config")
    assert longline("masscan", *words).stdout == "10.0.0.0/25\n"
