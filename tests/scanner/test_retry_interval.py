"""Retries ten seconds apart on the wire: what arrives at the far end, by the kernel's stamps."""

from __future__ import annotations

import json
import shutil
import sys
from itertools import pairwise

import pytest

from tests.require import require
from tests.servers.veth import veth

BASE, TARGETS = 10 << 24, 64
INTERVAL, RETRIES, RATE = 10.0, 2, 1_000
#: Addresses from here on are silent; those before it answer with a RST.
SILENT = BASE + 32

#: (nanoseconds, address) of each SYN, until a line comes on standard input.
_SYNS = """
import json, select, socket, struct, sys
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
    sock.setsockopt(socket.SOL_SOCKET, 35, 1)  # SO_TIMESTAMPNS
    sock.bind(('far0', 0x0800))
    print('ready', flush=True)
    seen = []
    while sock in (able := select.select([sock, sys.stdin], [], [])[0]) or sys.stdin not in able:
        frame, extra, _, address = sock.recvmsg(2048, 64)
        if address[2] != socket.PACKET_OUTGOING and frame[23] == 6 and frame[47] & 2:
            seconds, rest = struct.unpack('qq', extra[0][2])
            seen.append((seconds * 10**9 + rest, int.from_bytes(frame[30:34], 'big')))
print(json.dumps(seen))
"""


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_ten_seconds_lie_between_the_probes_of_a_silent_target() -> None:
    require(shutil.which("nft"), "needs nftables")
    asked = {
        "ranges": [[BASE, BASE + TARGETS - 1]], "ports": [80],
        "plan": {"retries": RETRIES, "retry_interval": INTERVAL, "rate": RATE, "cooldown": 0.5},
    }  # fmt: skip
    with veth() as net:
        rules = "add table ip f\nadd chain ip f i { type filter hook input priority 0; }\n"
        net.far("nft", "-f", "-", input=rules + "add rule ip f i ip daddr 10.0.0.32/27 drop\n")
        with net.program(net.far_pid, sys.executable, "-c", _SYNS, ready="ready", ask=True) as capture:
            told = json.loads(
                net.near(sys.executable, "-m", "tests.servers.scan_once", input=json.dumps(asked), timeout=150).stdout
            )
            assert capture.stdin is not None
            assert capture.stdout is not None
            capture.stdin.write("\n")
            capture.stdin.flush()
            seen = json.loads(capture.stdout.readline())
    came: dict[int, list[int]] = {}
    for when, address in seen:
        came.setdefault(address, []).append(when)
    assert {address: len(times) for address, times in came.items()} == {
        address: 1 + (RETRIES if address >= SILENT else 0) for address in range(BASE, BASE + TARGETS)
    }
    # A batch is sent again so long after its last frame was: never earlier, and how much later is the machine's matter.
    for times in came.values():
        assert all(after - before >= INTERVAL * 1e9 for before, after in pairwise(sorted(times)))
    assert {answer["address"] for answer in told["answers"]} == set(range(BASE, SILENT))
    assert told["counters"]["sent"] == len(seen)
