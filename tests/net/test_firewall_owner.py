"""Whether the owner of a mark lives: by real processes."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import time

import pytest

from stages.net.firewall_owner import life, own_mark, stat
from tests.require import require


@pytest.fixture(autouse=True)
def _linux() -> None:
    require(sys.platform == "linux", "/proc is Linux's")


def test_we_live() -> None:
    mark = own_mark()
    assert mark.pid == os.getpid()
    assert life(mark) == "alive"


def test_a_pid_that_was_given_again_is_another() -> None:
    assert life(dataclasses.replace(own_mark(), start=own_mark().start - 1)) == "dead"


def test_a_mark_of_another_boot_is_dead() -> None:
    assert life(dataclasses.replace(own_mark(), boot="0" * 36)) == "dead"


def test_a_pid_of_another_namespace_is_not_judged() -> None:
    assert life(dataclasses.replace(own_mark(), pidns=1, pid=2**22 + 1)) == "unknown"


def test_a_process_ends() -> None:
    process = subprocess.Popen(["sleep", "60"])
    try:
        found = stat(process.pid)
        assert found is not None
        mark = dataclasses.replace(own_mark(), pid=process.pid, start=found[1])
        assert life(mark) == "alive"
        process.kill()
        end = time.monotonic() + 60
        while life(mark) != "dead" and time.monotonic() < end:  # a zombie: nobody has waited for it
            time.sleep(0.001)
        assert life(mark) == "dead"
        assert stat(process.pid) is not None
    finally:
        process.kill()
        process.wait()
    assert stat(process.pid) is None
    assert life(mark) == "dead"


def test_a_name_with_brackets_and_spaces() -> None:
    script = "import ctypes,sys; ctypes.CDLL(None).prctl(15, b') R 7 (x'); print(flush=True); sys.stdin.read()"
    process = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        found = stat(process.pid)
        ours = stat(os.getpid())
        assert found is not None
        assert ours is not None
        assert found[1] >= ours[1]
        assert found[0] in "RSD"
    finally:
        process.communicate()
