"""A process that holds one capability: what it has, what reaches it, and how its start fails."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import pytest

from stages.net import helper, privileges
from tests.require import require

#: Says what it is, then answers every message with it until the other end is closed.
MODULE = """
import os
from pathlib import Path
from stages.net import helper, privileges
peer = helper.detach(privileges.CAP_NET_ADMIN)
peer.settimeout(None)
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
peer.send("\\n".join([
    *(status[name].strip() for name in ("CapPrm", "CapEff", "CapInh", "CapAmb", "NoNewPrivs")),
    str(os.getpid()), str(os.getppid()), str(os.getsid(0)), os.getcwd(), os.readlink("/proc/self/fd/0"),
]).encode())
while data := peer.recv(100):
    peer.send(data)
"""


@pytest.fixture(autouse=True)
def _superuser() -> None:
    require(sys.platform == "linux" and os.geteuid() == 0, "capabilities are the superuser's, on Linux")
    require(privileges.capabilities() >> privileges.CAP_NET_ADMIN & 1, "CAP_NET_ADMIN")


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path


def test_what_it_has_and_where_it_stands(path: Path) -> None:
    (path / "what.py").write_text(MODULE)
    with helper.start("what", privileges.CAP_NET_ADMIN) as peer:
        lines = peer.recv(1000).decode().split("\n")
        one = 1 << privileges.CAP_NET_ADMIN
        assert [int(line, 16) for line in lines[:4]] == [one, one, 0, 0]
        assert lines[4] == "1"
        pid, parent, session = map(int, lines[5:8])
        assert parent != os.getpid()
        assert session not in (os.getsid(0), pid)
        assert lines[8:] == ["/", "/dev/null"]
        peer.send(b"still there?")
        assert peer.recv(100) == b"still there?"
    own = Path("/proc/thread-self/status").read_text()
    assert "CapInh:\t0000000000000000" in own
    assert "CapAmb:\t0000000000000000" in own


def test_nothing_is_imported_from_where_it_is_started(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (path / "what.py").write_text(MODULE)
    bad = path / "bad"
    bad.mkdir()
    (bad / "socket.py").write_text("raise RuntimeError('imported')\n")
    monkeypatch.chdir(bad)
    with helper.start("what", privileges.CAP_NET_ADMIN) as peer:
        assert peer.recv(1000)


def test_it_needs_the_capability(path: Path) -> None:
    (path / "what.py").write_text(MODULE)
    with pytest.raises(PermissionError) as caught:
        helper.start("what", 63)
    assert caught.value.errno == errno.EPERM


@pytest.mark.parametrize(("text", "code"), [("import nothing_like_it", "1"), ("raise SystemExit(7)", "7")])
def test_it_cannot_begin(path: Path, text: str, code: str) -> None:
    (path / "what.py").write_text(text)
    with pytest.raises(OSError, match=f"what cannot be started: it ended with {code}"):
        helper.start("what", privileges.CAP_NET_ADMIN)


def test_it_hangs(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(helper, "START_SECONDS", 1.0)
    (path / "what.py").write_text("import time\ntime.sleep(60)\n")
    with pytest.raises(OSError, match="did not start"):
        helper.start("what", privileges.CAP_NET_ADMIN)
