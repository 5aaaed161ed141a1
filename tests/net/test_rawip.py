from __future__ import annotations

import json
import os
import shutil
import sys

import numpy as np
import pytest

from stages.net import rawip
from stages.net.packetsocket import Frames
from tests.require import require
from tests.servers.veth import veth

_SEND = """
import json, socket, struct, sys
import numpy as np
from stages.net.packetsocket import Frames
from stages.net.rawip import RawIpSender
interface, targets = sys.argv[1], sys.argv[2:]
rows = np.zeros((1, len(targets), 64), np.uint8)
for row, target in zip(rows[0], targets):
    ip = struct.pack('!BBHHHBBH4s4s', 0x45, 0, 28, 7, 0, 64, 17, 0, socket.inet_aton('198.51.100.2'),
                     socket.inet_aton(target))
    row[14:42] = np.frombuffer(ip + struct.pack('!HHHH', 5, 6, 8, 0), np.uint8)
sender = RawIpSender(interface, Frames(rows, 42, offset=14))
assert (sender.free(), sender.drain()) == (0, True)
done = 0
while done < len(targets):
    sent, number = sender.send(done, len(targets) - done)
    assert not number
    done += sent
print(json.dumps(sender.refused))
sender.close()
"""

_RECEIVE = """
import json, socket, sys
with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM) as sock:
    sock.bind((sys.argv[1], 0x0800))
    sock.settimeout(20)
    print('ready', flush=True)
    got = []
    while len(got) < int(sys.argv[2]):
        packet = sock.recv(2000)
        if packet[9] == 17:
            got.append([socket.inet_ntoa(packet[16:20]), len(packet)])
print(json.dumps(got))
"""


def test_neighbour_gateway_and_what_is_refused() -> None:
    require(shutil.which("nft"), "needs nftables")
    with veth() as pair:
        rules = "add table ip f\nadd chain ip f o { type filter hook output priority 0; }\n"
        pair.near("nft", "-f", "-", input=rules + "add rule ip f o ip daddr 203.0.113.0/24 drop\n")
        argv = (sys.executable, "-c", _RECEIVE, "far0", "3")
        with pair.program(pair.far_pid, *argv, ready="ready") as far:
            targets = ("198.51.100.1", "203.0.113.5", "10.1.2.3", "10.1.2.4")
            assert json.loads(pair.near(sys.executable, "-c", _SEND, "near0", *targets).stdout) == 1
            assert far.stdout is not None
            got = json.loads(far.stdout.readline())
    assert got == [[target, 28] for target in ("198.51.100.1", "10.1.2.3", "10.1.2.4")]


def test_a_tunnel() -> None:
    with (
        veth() as pair,
        pair.program(pair.near_pid, sys.executable, "-m", "tests.servers.tunnel", str(pair.far_pid), ready="ready"),
    ):
        pair.near("ip", "route", "add", "10.7.0.0/16", "dev", "tun0")
        argv = (sys.executable, "-c", _RECEIVE, "tun1", "50")
        with pair.program(pair.far_pid, *argv, ready="ready") as far:
            targets = [f"10.7.0.{n}" for n in range(50)]
            assert json.loads(pair.near(sys.executable, "-c", _SEND, "tun0", *targets).stdout) == 0
            assert far.stdout is not None
            got = json.loads(far.stdout.readline())
    assert got == [[target, 28] for target in targets]


def test_no_such_interface() -> None:
    require(os.geteuid() == 0, "raw sockets need root")
    with pytest.raises(OSError, match="No such device"):
        rawip.RawIpSender("no-such-one", Frames(np.zeros((1, 1, 64), np.uint8), 60, offset=14))
