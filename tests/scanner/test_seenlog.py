from __future__ import annotations

import stat
from pathlib import Path

import numpy as np
import pytest

from stages.core.errors import HostError, UsageError
from stages.scanner import seenlog
from stages.scanner.seenlog import Known, SeenLog, key_of


def keys(path: Path, size: int) -> list[int]:
    return [int(key) for batch in Known(path, size).batches() for key in batch]


def test_what_was_flushed_comes_back_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seenlog, "_AT_ONCE", 3)
    path = tmp_path / "c.seen"
    log = SeenLog(Known(path, 0))
    assert log.flush() == 0
    log.add([1, 2**63 - 1, 7])
    assert log.flush() == 24
    log.add(range(5))
    size = log.flush()
    log.close()
    assert keys(path, size) == [1, 2**63 - 1, 7, 0, 1, 2, 3, 4]
    assert keys(path, 24) == [1, 2**63 - 1, 7]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_a_killed_run_wrote_behind_its_checkpoint_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "c.seen"
    log = SeenLog(Known(path, 0))
    log.add([1, 2, 3])
    log.flush()
    log.close()
    again = SeenLog(Known(path, 16))
    again.add([9])
    size = again.flush()
    again.close()
    assert keys(path, size) == [1, 2, 9]


def test_a_key_tells_a_success_from_a_failure() -> None:
    assert len({key_of(position, success) for position in range(100) for success in (False, True)}) == 200
    assert key_of((1 << 62) - 1, True) < 1 << 63


@pytest.mark.parametrize(("size", "content", "problem"), [
    (16, b"", "belongs to the checkpoint"), (16, bytes(8), "is damaged: 8 bytes, of which the checkpoint counts 16"),
    (9, bytes(16), "is damaged"),
])  # fmt: skip
def test_a_file_that_does_not_fit_the_checkpoint(tmp_path: Path, size: int, content: bytes, problem: str) -> None:
    if content:
        (tmp_path / "s").write_bytes(content)
    with pytest.raises(UsageError, match=problem):
        Known(tmp_path / "s", size).check("--resume c")


def test_nothing_is_asked_of_a_file_that_counts_for_nothing(tmp_path: Path) -> None:
    known = Known(tmp_path / "none", 0)
    known.check("--resume c")
    assert list(known.batches()) == []


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="cannot be written"):
        SeenLog(Known(tmp_path / "none" / "s", 0))
    with pytest.raises(HostError, match="cannot be read"):
        list(Known(tmp_path / "none" / "s", 8).batches())


def test_keys_are_as_dedup_takes_them(tmp_path: Path) -> None:
    path = tmp_path / "s"
    log = SeenLog(Known(path, 0))
    log.add([5])
    (batch,) = Known(path, log.flush()).batches()
    log.close()
    assert batch.dtype == np.uint64
