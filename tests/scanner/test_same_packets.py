"""The packets of a scan are those of its seed and its secret, byte by byte, however many threads send them."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.veth import Veth, veth

BASE, TARGETS, PROBES = 10 << 24, 1500, 2
#: Of every kind that a template has: from addresses and ports, and drawn.
TEMPLATE = "${SADDR} ${DADDR} ${SPORT} ${DPORT} ${RAND_DIGIT=5} ${RAND_ALPHA=3} ${RAND_BYTE=16}"

#: Frames to 10.0.0.0/8, in hex, until a line comes on standard input.
_CAPTURE = """
import json, select, socket, sys
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
    sock.setsockopt(socket.SOL_SOCKET, 33, 1 << 25)  # SO_RCVBUFFORCE
    sock.bind(('far0', 0x0800))
    print('ready', flush=True)
    seen = []
    while sock in (able := select.select([sock, sys.stdin], [], [])[0]) or sys.stdin not in able:
        frame, address = sock.recvfrom(2048)
        if address[2] != socket.PACKET_OUTGOING and frame[30] == 10:
            seen.append(frame.hex())
print(json.dumps(seen))
"""


@pytest.fixture(scope="module")
def net() -> Iterator[Veth]:
    """A far side that takes everything and answers nothing."""
    with veth() as pair:
        pair.far("ip", "route", "del", "local", "10.0.0.0/8", "dev", "lo")
        yield pair


def sent(net: Veth, probe: str, args: str | None, port: int, engine: str, threads: int) -> Counter[str]:
    asked = {
        "ranges": [[BASE, BASE + TARGETS - 1]], "ports": [port, port + 1] if port else [0],
        "probe": probe, "args": args, "seed": 7, "secret": "5a" * 16,
        "plan": {"engine": engine, "threads": threads, "probes": PROBES, "rate": 10_000, "cooldown": 0},
    }  # fmt: skip
    with net.program(net.far_pid, sys.executable, "-c", _CAPTURE, ready="ready", ask=True) as capture:
        told = json.loads(net.near(sys.executable, "-m", "tests.servers.scan_once", input=json.dumps(asked)).stdout)
        assert capture.stdin is not None
        assert capture.stdout is not None
        capture.stdin.write("\n")
        capture.stdin.flush()
        seen = Counter(json.loads(capture.stdout.readline()))
    assert (told["failed"], told["describe"]["engine"]) == (None, engine)
    assert seen.total() == told["counters"]["sent"] == TARGETS * PROBES * len(asked["ports"])
    return seen


@pytest.mark.parametrize(("probe", "args", "port"), [
    ("udp", "template:", 5000), ("dns", "A,a.example;AAAA,b.example", 53), ("tcp_synscan", None, 80),
    ("icmp_echoscan", None, 0),
])  # fmt: skip
def test_any_number_of_threads_sends_the_same_packets(
    net: Veth, probe: str, args: str | None, port: int, tmp_path: Path
) -> None:
    if args == "template:":
        file = tmp_path / "probe.tpl"
        file.write_text(TEMPLATE)
        args += str(file)
    one = sent(net, probe, args, port, "packet", 1)
    assert len(one) == one.total()  # no two are alike
    for engine, threads in (("xdp", 2), ("packet", 4)):
        assert sent(net, probe, args, port, engine, threads) == one, (engine, threads)
