from __future__ import annotations

import os
import stat
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.core.errors import HostError, UsageError
from stages.scanner import checkpoint
from stages.scanner.checkpoint import Checkpoint

IDENTITY = {"ports": "80", "seed": 5, "size": 256}
HELD = Checkpoint(
    "a scan", 5, b"0123456789abcdef", IDENTITY, 100, started="2026-11-21T07:10:00.000000Z",
    counters={"sent": 100, "success": 7}, seen=56,
)  # fmt: skip


def test_it_comes_back(tmp_path: Path) -> None:
    checkpoint.write(tmp_path / "c", HELD)
    assert checkpoint.read(tmp_path / "c") == HELD
    checkpoint.write(tmp_path / "c", HELD.at(200, finished=True))
    assert checkpoint.read(tmp_path / "c").finished
    assert os.listdir(tmp_path) == ["c"]


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    (tmp_path / "c").write_bytes(b"old, and readable by all")
    (tmp_path / "c").chmod(0o644)
    checkpoint.write(tmp_path / "c", HELD)
    assert stat.S_IMODE((tmp_path / "c").stat().st_mode) == 0o600
    assert b"0123456789abcdef".hex() not in repr(HELD)


def test_a_position_never_goes_back() -> None:
    assert HELD.at(50).position == 100
    assert HELD.at(150).position == 150


def test_the_same_scan_is_accepted_and_another_is_not() -> None:
    HELD.check(dict(reversed(IDENTITY.items())), "--resume c")
    with pytest.raises(
        UsageError, match="--resume c: scan a scan was another one: ports: '80' -> '443'; size: 256 -> 9"
    ):
        HELD.check({**IDENTITY, "ports": "443", "size": 9}, "--resume c")


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_flipped_bit_is_seen(at: int, flip: int) -> None:
    data = bytearray(checkpoint.dump(HELD))
    at %= len(data)
    data[at] ^= flip
    try:
        read = checkpoint.parse(bytes(data), "c")
    except UsageError:
        return
    assert read == HELD  # white space, or a letter that means the same


@given(st.integers(0, 10_000))
def test_a_part_of_it_is_none(length: int) -> None:
    data = checkpoint.dump(HELD).rstrip()
    with pytest.raises(UsageError, match=r"c: (not a checkpoint|the checkpoint is damaged)"):
        checkpoint.parse(data[: length % len(data)], "c")


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_by_a_usage_error(data: bytes) -> None:
    with pytest.raises(UsageError):
        checkpoint.parse(data, "c")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"v": 1}, "a checkpoint of version 1"),
        ({"longline": "blocklist"}, "not a checkpoint"),
        ({"position": "7"}, "position is '7'"),
        ({"position": -1}, "position -1"),
        ({"position": True}, "position is True"),
        ({"seen": -8}, "seen -8"),
        ({"counters": {"sent": "7"}}, "counters"),
        ({"secret": "00"}, "secret"),
        ({"secret": "zz"}, "secret"),
        ({"identity": None}, "identity"),
    ],
)
def test_damage_that_the_checksum_does_not_show(change: dict[str, object], message: str) -> None:
    body = orjson.loads(checkpoint.dump(HELD))
    del body["check"]
    body |= change
    body["check"] = checkpoint._checksum(body)
    with pytest.raises(UsageError, match=message):
        checkpoint.parse(orjson.dumps(body), "c")


def test_a_file_that_is_not_there_or_much_too_large(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--resume: .*No such file"):
        checkpoint.read(tmp_path / "c")
    (tmp_path / "c").write_bytes(b" " * (checkpoint.MAX_BYTES + 1))
    with pytest.raises(UsageError, match="too large"):
        checkpoint.read(tmp_path / "c")
    with pytest.raises(UsageError, match="directory"):
        checkpoint.read(tmp_path)


def test_a_checkpoint_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="cannot be written: No such file"):
        checkpoint.write(tmp_path / "none" / "c", HELD)
    checkpoint.write(tmp_path / "c", HELD)
    (tmp_path / "c2").mkdir()
    with pytest.raises(HostError, match="cannot be written: Is a directory"):
        checkpoint.write(tmp_path / "c2", HELD)
    assert sorted(os.listdir(tmp_path)) == ["c", "c2"]  # and nothing half-written beside


@pytest.mark.parametrize(
    ("bus", "place"),
    [
        ("sqlite:scan.db", "scan.db.checkpoint"),
        ("sqlite:/x/y", "/x/y.checkpoint"),
        ("-", None),
        ("kafka://h:9092", None),
    ],
)
def test_its_default_place(bus: str, place: str | None) -> None:
    assert checkpoint.beside(bus) == (None if place is None else Path(place))
