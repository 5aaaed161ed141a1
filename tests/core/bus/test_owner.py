from __future__ import annotations

import os
import subprocess
import sys

from stages.core.bus import owner


def test_of_this_process() -> None:
    token = owner.take()
    assert token.startswith(f"{os.getpid()}-")
    assert owner.alive(token)
    assert owner.take() != token
    owner.drop(token)
    assert not owner.alive(token)


def test_of_another_process() -> None:
    code = "from stages.core.bus import owner; print(owner.take(), flush=True); input()"
    other = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    token = other.stdout.readline().strip()
    assert owner.alive(token)
    pid, start, namespace, rest = token.split("-")
    assert not owner.alive(f"{pid}-{int(start) + 1}-{namespace}-{rest}")  # the id was used again
    assert not owner.alive(f"{pid}-{start}-{namespace}1-{rest}")  # another namespace
    other.kill()
    other.communicate()
    assert not owner.alive(token)


def test_without_proc() -> None:
    """Where start times cannot be known the process id decides."""
    _, _, namespace, rest = owner.take().split("-")
    assert owner.alive(f"{os.getppid()}--{namespace}-{rest}")
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert not owner.alive(f"{gone.pid}--{namespace}-{rest}")
