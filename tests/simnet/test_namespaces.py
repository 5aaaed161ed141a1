"""The system calls, each in a child process of its own."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from stages.simnet import namespaces
from tests.require import require
from tests.simnet.conftest import until

ROOT = Path(__file__).parents[2]


def child(code: str, wrap: Callable[[list[str]], list[str]] = lambda argv: argv) -> str:
    script = f"import sys; sys.path.insert(0, {str(ROOT)!r})\nimport os\nfrom stages.simnet.namespaces import *\n{code}"
    done = subprocess.run(wrap([sys.executable, "-c", script]), capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_new_network_is_empty_and_root_needs_no_user_namespace() -> None:
    require(os.geteuid() == 0, "root")
    out = child(
        "import socket; before = network_id(); print(new_network(), before == network_id());"
        "print([n for _, n in socket.if_nameindex()], os.getuid())"
    )
    first, second = out.splitlines()
    assert first == "False False"
    assert "'lo'" in second
    assert "eth0" not in second


def test_an_ordinary_user_gets_one_through_a_user_namespace(as_nobody: Callable[[list[str]], list[str]]) -> None:
    out = child("print(os.getuid()); print(new_network(), os.getuid(), os.getgid())", as_nobody)
    assert out.split() == ["65534", "True", "0", "0"]


CLOSED = """
import resource, errno
from pathlib import Path
new_network()
Path('/proc/sys/user/max_net_namespaces').write_text('0')
try: new_network()
except NamespaceError as error: print(error.strerror)
"""


def test_closed_namespaces_say_so(as_nobody: Callable[[list[str]], list[str]]) -> None:
    """In a user namespace of our own the limit is ours to set."""
    out = child(CLOSED, as_nobody)
    assert out.strip()


def test_why_is_said_as_far_as_it_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def read_text(self: Path) -> str:
        return "1\n" if self.name == "apparmor_restrict_unprivileged_userns" else "7\n"

    monkeypatch.setattr(Path, "read_text", read_text)
    assert namespaces._closed(OSError(errno.EPERM, "no")).endswith("apparmor_restrict_unprivileged_userns is 1")
    monkeypatch.setattr(Path, "read_text", lambda self: "7\n")
    assert namespaces._closed(OSError(errno.EPERM, "not permitted")).endswith("not permitted")


def test_setns_refuses_what_is_no_namespace(tmp_path: Path) -> None:
    with (tmp_path / "file").open("w") as file, pytest.raises(namespaces.NamespaceError) as caught:
        namespaces.setns(file.fileno(), namespaces.CLONE_NEWNET)
    assert caught.value.errno == errno.EINVAL


DYING = """
import sys, time
parent = os.getpid()
if os.fork() == 0:
    die_with(parent)
    print(os.getpid(), flush=True)
    time.sleep(60)
sys.stdin.read()
os._exit(0)
"""


def test_a_child_dies_with_its_parent() -> None:
    code = f"import os, sys; sys.path.insert(0, {str(ROOT)!r})\nfrom stages.simnet.namespaces import *\n{DYING}"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert Path(f"/proc/{pid}").exists()
        parent.kill()
    assert until(lambda: gone(pid))


def test_a_child_whose_parent_has_gone_dies_at_once() -> None:
    pid = os.fork()
    if pid == 0:
        namespaces.die_with(os.getppid() + 1)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    assert os.WTERMSIG(status) == 9


def gone(pid: int) -> bool:
    """Ended; whether somebody has asked for its exit status is not our concern."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_network_id() -> None:
    assert namespaces.network_id() == namespaces.network_id(os.getpid())
    with pytest.raises(OSError, match="No such"):
        namespaces.network_id(2**22 + 1)
