"""AF_XDP on a veth pair: every frame arrives, once, whatever is in the way."""

from __future__ import annotations

import errno
import json
import os
import sys

import numpy as np
import pytest

from stages.net import xsk
from stages.net.packetsocket import Frames
from tests.require import require
from tests.servers.veth import Veth, veth

#: Numbered frames of the experimental ethertype, `rows` a block.
_MAKE = """
import errno, json, os, socket, sys, time
import numpy as np
from stages.net import xsk
from stages.net.packetsocket import Frames

def make(blocks=4, rows=100, stride=64, length=60, lead=0, **more):
    memory = xsk.memory(blocks * rows * stride + lead)
    frames = Frames(memory[lead : lead + blocks * rows * stride].reshape(blocks, rows, stride), length, **more)
    return frames, memory

def fill(frames, block, first):
    rows = frames.blocks[block]
    rows[:, :6], rows[:, 12:14] = 255, (0x88, 0xB5)
    rows[:, 14:18] = np.arange(first, first + len(rows), dtype='>u4').view(np.uint8).reshape(-1, 4)

def block_of(sender):
    end = time.monotonic() + 20
    while (block := sender.free()) < 0:
        assert time.monotonic() < end
    return block

def send_all(sender, rows, on_trouble=lambda number: None):
    done = 0
    while done < rows:
        sent, number = sender.send(done, rows - done)
        done += sent
        if number:
            on_trouble(number)
"""

_RECEIVE = """
import errno, json, select, socket, sys
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
    sock.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE
    sock.bind(('far0', 0x88B5))
    print('ready', flush=True)
    got = []
    while sock in (able := select.select([sock, sys.stdin], [], [])[0]) or sys.stdin not in able:
        try:
            frame = sock.recv(4096)
        except OSError as error:
            assert error.errno == errno.ENETDOWN
            continue
        got.append((len(frame), int.from_bytes(frame[14:18], 'big')))
print(json.dumps(got))
"""


def run(pair: Veth, script: str) -> tuple[dict[str, object], list[list[int]]]:
    """What the script in the near namespace printed, and what arrived: [bytes, number] of each frame."""
    with pair.program(pair.far_pid, sys.executable, "-c", _RECEIVE, ready="ready", ask=True) as far:
        told = json.loads(pair.near(sys.executable, "-c", _MAKE + script).stdout)
        assert far.stdin is not None
        assert far.stdout is not None
        far.stdin.write("\n")
        far.stdin.flush()
        return told, json.loads(far.stdout.readline())


def test_every_row_arrives_once_and_in_order() -> None:
    script = """
frames, _ = make()
sender = xsk.XskSender('near0', frames)
used = []
for turn in range(50):
    block = block_of(sender)
    used.append(block)
    fill(frames, block, turn * 100)
    send_all(sender, 100)
end = time.monotonic() + 20
while not sender.drain():
    assert time.monotonic() < end
print(json.dumps({'zero_copy': sender.zero_copy, 'blocks': sorted(set(used)), 'refused': sender.refused}))
sender.close()
sender.close()
"""
    with veth() as pair:
        told, got = run(pair, script)
    assert told == {"zero_copy": False, "blocks": [0, 1, 2, 3], "refused": 0}
    assert got == [[60, number] for number in range(5000)]


def test_lengths_of_their_own_offsets_and_part_of_a_block() -> None:
    script = """
frames, memory = make(blocks=2, stride=128, lead=8, offset=-4)
memory[:] = 7
sender = xsk.XskSender('near0', frames)
frames.lengths = np.arange(60, 120).repeat(2)[:100]
for _ in range(2):
    block = block_of(sender)
    fill(frames, block, 1000 * block)
    for row in range(100):  # what is sent begins four bytes before the row
        at = 8 + (block * 100 + row) * 128 - 4
        memory[at : at + 14] = [255] * 12 + [0x88, 0xB5]
        memory[at + 14 : at + 18] = np.frombuffer((1000 * block + row).to_bytes(4, 'big'), np.uint8)
    assert sender.send(20, 30) == (30, 0)
sender.close()
print('{}')
"""
    with veth() as pair:
        _, got = run(pair, script)
    lengths = np.arange(60, 120).repeat(2)[:100] + 4
    assert sorted(got, key=lambda one: one[1]) == [
        [int(lengths[row]), 1000 * block + row] for block in (0, 1) for row in range(20, 50)
    ]


def test_a_lost_carrier_loses_no_frame_and_doubles_none() -> None:
    script = """
frames, _ = make()
sender = xsk.XskSender('near0', frames)
troubles = []
def carrier(state):
    os.system(f'nsenter -t {FAR} -n ip link set far0 {state}')
    flags = '1' if state == 'up' else '0'
    while open('/sys/class/net/near0/carrier').read().strip() != flags:
        time.sleep(0.01)
def trouble(number):
    troubles.append(errno.errorcode[number])
    if len(troubles) == 3:
        carrier('up')
os.system('mount -t sysfs none /sys')
for turn in range(30):
    block = block_of(sender)
    fill(frames, block, turn * 100)
    if turn % 10 == 5:
        troubles.clear()
        carrier('down')
    send_all(sender, 100, trouble)
print(json.dumps({'troubles': troubles}))
sender.close()
"""
    with veth() as pair:
        argv = ("unshare", "-m", sys.executable, "-c", f"FAR = {pair.far_pid}\n" + _MAKE + script)
        with pair.program(pair.far_pid, sys.executable, "-c", _RECEIVE, ready="ready", ask=True) as far:
            told = json.loads(pair.near(*argv).stdout)
            assert far.stdin is not None
            assert far.stdout is not None
            far.stdin.write("\n")
            far.stdin.flush()
            got = json.loads(far.stdout.readline())
    assert told["troubles"][:3] == ["ENOBUFS"] * 3
    assert sorted(number for _, number in got) == list(range(3000))


_REFUSED = """
frames, _ = make()
def refused(**more):
    try:
        xsk.open_best(more.pop('interface', 'near0'), more.pop('frames', frames), **more)
    except OSError as error:
        return [type(error).__name__, error.errno, error.strerror]
"""


def test_what_it_says_when_it_cannot() -> None:
    script = (
        _REFUSED
        + """
import resource
told = {'queue': refused(queue=7), 'interface': refused(interface='none0')}
told['long'] = refused(frames=Frames(np.zeros((1, 2, 8192), np.uint8), 5000))
first = xsk.XskSender('near0', frames)
second, _ = make()
began = time.monotonic()
told['busy'] = refused(frames=second)
told['waited'] = time.monotonic() - began
first.close()
again = xsk.XskSender('near0', second, busy=30.0)  # the kernel gives the queue back after a while
again.close()
print(json.dumps(told))
"""
    )
    with veth() as pair:
        told = json.loads(pair.near(sys.executable, "-c", _MAKE + script).stdout)
        limited = _REFUSED + "print(json.dumps(refused()))"
        argv = ("prlimit", "--memlock=4096", "setpriv", "--bounding-set=-ipc_lock", "--inh-caps=-ipc_lock")
        locked = json.loads(pair.near(*argv, sys.executable, "-c", _MAKE + limited).stdout)
        argv = ("setpriv", "--bounding-set=-net_raw", "--inh-caps=-net_raw")
        forbidden = json.loads(pair.near(*argv, sys.executable, "-c", _MAKE + limited).stdout)
    assert told["queue"][0] == "NoXdp"
    assert "queue 7 of near0" in told["queue"][2]
    assert told["interface"] == ["OSError", errno.ENODEV, "no interface 'none0'"]
    assert "more than a page" in told["long"][2]
    assert told["busy"][0] == "NoXdp"
    assert "taken by another AF_XDP socket" in told["busy"][2]
    assert told["waited"] >= xsk.BUSY_S
    assert "RLIMIT_MEMLOCK is 4096" in locked[2]
    assert forbidden[0] == "NoRawAccess"


def test_several_queues() -> None:
    script = """
senders = []
for queue in range(3):
    frames, _ = make()
    sender = xsk.XskSender('near1', frames, queue)
    fill(frames, block_of(sender), 1000 * queue)
    senders.append(sender)
for sender in senders:
    send_all(sender, 100)
    sender.close()
print('{}')
"""
    with veth() as pair:
        pair.near(
            "sh", "-ec",
            f"""
            ip link del near0
            ip link add near1 numtxqueues 3 numrxqueues 3 type veth peer name far0 numrxqueues 3 netns {pair.far_pid}
            ip link set near1 up
            """,
        )  # fmt: skip
        pair.far("ip", "link", "set", "far0", "up")
        _, got = run(pair, script)
    assert sorted(number for _, number in got) == [1000 * queue + row for queue in range(3) for row in range(100)]


def test_rows_that_do_not_fit() -> None:
    require(os.geteuid() == 0, "AF_XDP needs root")
    with pytest.raises(ValueError, match="frames of 70 bytes"):
        xsk.XskSender("lo", Frames(np.zeros((1, 2, 64), np.uint8), 70))


def test_memory_is_whole_pages() -> None:
    made = xsk.memory(5000)
    assert (made.size, made.ctypes.data % xsk.CHUNK_BYTES, made.any()) == (8192, 0, False)
