from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from typing import Any

from stages.net import privileges
from stages.net.privileges import KEPT
from tests.require import require
from tests.servers.veth import ROOT, environment

#: The same in a process of its own: what is dropped does not come back.
BEGIN = """
import json, os, subprocess, sys, threading, time
from stages.net.privileges import Setup, capabilities, drop

def tasks():
    found = {}
    for task in os.listdir("/proc/self/task"):
        try:
            with open(f"/proc/self/task/{task}/status") as file:
                status = dict(line.split(":", 1) for line in file)
        except (FileNotFoundError, ProcessLookupError):  # it has ended since it was listed
            continue
        found[task] = max(int(status[name], 16) for name in ("CapPrm", "CapEff", "CapInh", "CapAmb"))
    return found

def tasks_at_rest():
    # A thread that Python has joined may be seen for a moment longer: the kernel has not yet taken it away.
    deadline = time.monotonic() + 10
    while len(found := tasks()) > 1 and time.monotonic() < deadline:
        time.sleep(0.001)
    return found

def in_thread(work):
    found = []
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()
    thread.join()
    return found[0]
"""


def child(script: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", BEGIN + script], capture_output=True, text=True, cwd=ROOT, env=environment(),
        timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_one_is_kept_and_handed_down() -> None:
    before = superuser()
    require(before >> privileges.CAP_NET_ADMIN & 1, "CAP_NET_ADMIN")
    script = """
from stages.net.privileges import CAP_CHOWN, CAP_NET_ADMIN, hand_down
read = "grep -hE '^Cap(Prm|Eff|Amb)' /proc/self/status | cut -f2"
drop(1 << CAP_NET_ADMIN)
hand_down(CAP_NET_ADMIN)
below = subprocess.run(["sh", "-c", read], capture_output=True, text=True).stdout.split()
try:
    hand_down(CAP_CHOWN)
    refused = 0
except OSError as error:
    refused = error.errno
print(json.dumps([capabilities(), [int(word, 16) for word in below], refused]))
"""
    own, below, refused = child(script)
    assert own == 1 << privileges.CAP_NET_ADMIN
    assert below == [own] * 3
    assert refused == errno.EPERM


def superuser() -> int:
    require(sys.platform == "linux" and os.geteuid() == 0, "capabilities are the superuser's, on Linux")
    before = privileges.capabilities()
    require(bool(before & ~KEPT), "this process has no capability that could be dropped")
    return before


def test_only_the_keeper_has_capabilities_and_only_until_it_has_done_its_work() -> None:
    before = superuser()
    found = child("""
setup = Setup()
main, others = capabilities(), in_thread(capabilities)
kept, again = setup.run(capabilities), setup.run(capabilities)
print(json.dumps([main, others, kept, again, list(tasks_at_rest().values())]))
""")
    main, others, kept, again, tasks = found
    assert main == others == again == before & KEPT
    assert kept == before
    assert tasks == [before & KEPT]


def test_the_keeper_ends_with_the_block_also_unused() -> None:
    before = superuser()
    assert child("""
with Setup() as setup:
    inside = max(tasks().values())
print(json.dumps([inside, list(tasks_at_rest().values())]))
""") == [before, [before & KEPT]]


def test_what_the_work_raises_comes_out_and_ends_the_keeper() -> None:
    before = superuser()
    assert child("""
setup = Setup()
try:
    setup.run(lambda: 1 / 0)
except ZeroDivisionError:
    print(json.dumps(list(tasks_at_rest().values())))
""") == [before & KEPT]


def test_a_program_started_later_does_not_get_them_back() -> None:
    before = superuser()
    status = child("""
drop()
text = subprocess.run(["cat", "/proc/self/status"], capture_output=True, text=True, check=True).stdout
print(json.dumps(dict(line.split(":", 1) for line in text.splitlines())))
""")
    assert int(status["CapPrm"], 16) == before & KEPT
    assert int(status["CapEff"], 16) == before & KEPT
    assert int(status["NoNewPrivs"]) == 1


def test_dropped_means_no_more_packet_sockets() -> None:
    superuser()
    assert (
        child("""
import socket
setup = Setup()
packets = setup.run(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0))
packets.close()
try:
    socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
except PermissionError:
    print(json.dumps("refused"))
""")
        == "refused"
    )


def test_where_there_are_no_capabilities_nothing_happens() -> None:
    assert child("""
sys.platform = "darwin"
setup = Setup()
print(json.dumps([setup.run(capabilities), setup.run(lambda: 5), capabilities()]))
""") == [0, 5, 0]


def test_closing_twice_is_closing_once() -> None:
    assert (
        child("""
setup = Setup()
setup.close()
setup.close()
print(json.dumps(setup.run(lambda: 7)))
""")
        == 7
    )
