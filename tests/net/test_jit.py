from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from stages.net import jit
from tests.require import require

INNER = "from stages.net.jit import piece\n@piece\ndef add(x):\n    return x + {number}\n"
OUTER = (
    "import inner\nfrom inner import add\nfrom stages.net.jit import kernel\n"
    "@kernel\ndef call(x):\n    return add(x)\n"
    "print(call(1), sum(call.stats.cache_hits.values()))\n"
)


def run(folder: Path, before: Sequence[str] = (), **environment: str) -> tuple[int, int]:
    """(result, cache hits) of a process that calls a kernel of outer.py, whose piece is in inner.py. `before`: a
    command that runs it."""
    root = str(Path(jit.__file__).resolve().parents[2])
    env = {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{root}", **environment}
    done = subprocess.run(
        [*before, sys.executable, str(folder / "outer.py")], env=env, capture_output=True, text=True, check=True
    )
    result, hits = done.stdout.split()
    return int(result), int(hits)


def test_the_cache_is_stale_when_a_piece_in_another_file_changes(tmp_path: Path) -> None:
    inner = tmp_path / "inner.py"
    inner.write_text(INNER.format(number=1))
    (tmp_path / "outer.py").write_text(OUTER)
    cache = {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    assert run(tmp_path, **cache) == (2, 0)
    assert run(tmp_path, **cache) == (2, 1)
    inner.write_text(INNER.format(number=1000))
    assert run(tmp_path, **cache) == (1001, 0)


def test_a_copied_source_is_the_same(tmp_path: Path) -> None:
    (tmp_path / "inner.py").write_text(INNER.format(number=1))
    (tmp_path / "outer.py").write_text(OUTER)
    cache = {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    assert run(tmp_path, **cache) == (2, 0)
    os.utime(tmp_path / "inner.py", (1, 1))
    os.utime(tmp_path / "outer.py", (1, 1))
    assert run(tmp_path, **cache) == (2, 1)


def test_what_stands_beside_the_source_is_read_where_it_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "inner.py").write_text(INNER.format(number=1))
    (tmp_path / "outer.py").write_text(OUTER)
    home = {"HOME": str(tmp_path / "home"), "XDG_CACHE_HOME": str(tmp_path / "home")}
    assert run(tmp_path, **home) == (2, 0)
    assert list((tmp_path / "__pycache__").glob("outer.call-*.nbi"))
    # Not even root writes through a read-only mount.
    inside = ["unshare", "-m", "bash", "-c", 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"']
    require(subprocess.run([*inside, str(tmp_path), "true"], check=False).returncode == 0, "mounts need root")
    assert run(tmp_path, before=[*inside, str(tmp_path)], **home) == (2, 1)
    (tmp_path / "inner.py").write_text(INNER.format(number=1000))
    before = sorted((tmp_path / "__pycache__").iterdir())
    assert run(tmp_path, before=[*inside, str(tmp_path)], **home) == (1001, 0)
    assert sorted((tmp_path / "__pycache__").iterdir()) == before


def test_a_kernel_works_where_nothing_can_be_cached(monkeypatch: pytest.MonkeyPatch) -> None:
    from numba.core import caching

    monkeypatch.setattr(caching.CacheImpl, "_locator_classes", [])

    def double(x: int) -> int:
        return 2 * x

    assert jit.kernel(double)(21) == 42
