"""`longline demo`: whole, over loopback; what it reports; what it refuses. In a namespace: tests/integration."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stages.cli.demo import command, report
from stages.simnet.compare import Difference, Found
from stages.simnet.spec import Spec
from tests.cli.command import PATIENCE, argv, longline
from tests.require import require


def test_loopback_demo_finds_the_truth(tmp_path: Path) -> None:
    ran = longline("demo", "--loopback", "--keep", tmp_path / "kept.db", "--no-view")
    assert ran.returncode == 0, ran.stderr + ran.stdout
    assert "compared with the truth: as it is; " in ran.stdout
    assert " 0 missing, 0 invented, 0 wrong" in ran.stdout
    shown = longline("query", "services", "--store", f"sqlite:{tmp_path}/kept.db", "--json", "--limit", "3")
    assert len(shown.stdout.splitlines()) == 3


def test_what_a_killed_demo_left_is_swept(tmp_path: Path) -> None:
    gone = tmp_path / "longline-demo-999999999-abc"  # above the largest pid
    alive = tmp_path / f"longline-demo-{os.getpid()}-abc"
    for directory in (gone, alive):
        directory.mkdir()
        (directory / "demo.db").touch()
    ran = longline("demo", "--loopback", "--no-view", env={"TMPDIR": str(tmp_path)})
    assert ran.returncode == 0, ran.stderr
    assert [path.name for path in tmp_path.iterdir()] == [alive.name]


def test_an_existing_file_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "kept.db").write_text("precious")
    ran = longline("demo", "--loopback", "--keep", tmp_path / "kept.db")
    assert ran.returncode == 2
    assert "kept.db" in ran.stderr
    assert (tmp_path / "kept.db").read_text() == "precious"


@pytest.mark.parametrize(
    ("difference", "verdict"),
    [
        (Difference(right=1), "as it is; 1 right, 0 missing"),
        (Difference(missing=[("10.0.0.9", 80, "tcp")]), "NOT as it is; 0 right, 1 missing"),
        (Difference(invented=[("10.0.0.9", 80, "tcp")]), "NOT as it is; 0 right, 0 missing, 1 invented"),
    ],
)
def test_the_report_says_what_differs(difference: Difference, verdict: str) -> None:
    truth: Any = SimpleNamespace(addresses=lambda: range(256), ports=(80, 443))
    text = report(truth, [Found("10.0.0.1", 80, outcome="ok", data=b"x")], difference, 1.5)
    assert "512 targets in 1.5 s: 1 open" in text
    assert verdict in text
    if difference.missing:
        assert "missing: 10.0.0.9:80/tcp" in text


def test_it_types_what_a_user_would() -> None:
    net: Any = SimpleNamespace(spec=Spec(seed=3))
    words = command(net, "x.db", 1000, None)
    assert words[:4] == ["run", "10.0.0.0/16", "-p", "22,80,443"]
    assert words[words.index("--tls-ports") + 1] == "443"
    assert words[words.index("--banner-ports") + 1] == "22,80"
    assert words[words.index("--engine") + 1] == "packet"


#: Its folder is emptied, in a mount namespace of the command's own.
HIDE = 'mount -t tmpfs tmpfs "$1" && shift && exec "$@"'


def test_without_nft_it_says_so_and_what_does_without() -> None:
    nft = shutil.which("nft", path="/usr/sbin:/sbin:" + os.environ.get("PATH", ""))
    require(os.geteuid() == 0 and nft is not None, "root and nft, to hide it")
    assert nft is not None
    argv_ = ["unshare", "--mount", "sh", "-c", HIDE, "sh", str(Path(nft).resolve().parent), *argv("demo")]
    ran = subprocess.run(argv_, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert ran.returncode == 1
    assert "nft is missing (Debian: nftables); --loopback needs neither a namespace nor nft" in ran.stderr
    assert "Traceback" not in ran.stderr
