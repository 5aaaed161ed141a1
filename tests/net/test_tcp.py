"""The state machine as a whole: against a model peer over a bad network, and against bytes that nobody meant."""

from __future__ import annotations

import random
import subprocess
import sys

import numpy as np
import pytest

from stages.net import ended, tcp, tcp_talking
from tests.fuzzing import INPUTS, fuzz, inputs
from tests.servers.tcp_model import Plan, play
from tests.servers.tcp_table import ACK, FIN, PSH, RST, SYN, Hand, Segment, check_table, half, ip_packet

#: Inputs of the fuzz, read before the tests take LONGLINE_... out of the environment.
COUNT = inputs()
#: Schedules in `make test`; in `make fuzz` a tenth of its inputs.
SCHEDULES = 1000


def plan_of(seed: int) -> Plan:
    chance = random.Random(seed)
    size = chance.choice([0, 1, 20, 500, 3000, 20_000])
    return Plan(
        seed=seed,
        request=chance.randbytes(chance.choice([0, 1, 18, 600, 5000])),
        answer=chance.randbytes(size),
        mss=chance.choice([88, 536, 1460]),
        our_mss=chance.choice([64, 300, 1460]) if size < 3000 else 1460,
        window=chance.choice([100, 1000, 65_535]),
        scale=chance.choice([-1, 0, 7, 14]),
        stamps=chance.random() < 0.3,
        close=chance.choice(["fin", "rst"]),
        peer_closes=chance.random() < 0.9,
        loss=chance.choice([0, 0.01, 0.1, 0.2]),
        twice=chance.choice([0, 0.1]),
        delay=chance.choice([0.001, 0.05]),
        repack=chance.random() < 0.3,
    )


def run_one(seed: int) -> None:
    plan = plan_of(seed)
    row, data, model, hand = play(plan)
    assert plan.answer.startswith(data), "bytes that the peer did not say"
    if row["closed_by"] == ended.PEER and not row["failed"]:
        assert data == plan.answer
        assert bytes(model.heard) == plan.request
        assert row["sent"] == len(plan.request)
    elif plan.loss < 0.2 and plan.peer_closes:
        pytest.fail(f"ended otherwise: {row}")
    assert hand.table.now[tcp.CHUNKS_USED] == 0
    check_table(hand.table)


@fuzz
def test_any_schedule_gives_the_same_bytes() -> None:
    count = max(COUNT // 10, SCHEDULES) if COUNT > INPUTS else SCHEDULES
    for seed in range(count):
        try:
            run_one(seed)
        except BaseException as error:
            error.add_note(f"seed {seed}: {plan_of(seed).__class__.__name__} {seed}")
            raise


def noise(chance: random.Random, hand: Hand) -> bytes:
    """A packet that is nearly right."""
    c = hand.connection(chance.randrange(len(hand.table.connections)))
    near = chance.choice([0, 0, 0, 1, -1, 5, 1000, 70_000, chance.getrandbits(32)])
    segment = Segment(
        source=int(c["peer"]), target=int(c["ours"]), sport=int(c["peer_port"]), dport=int(c["own_port"]),
        seq=int(c["rcv"]) + near, ack=int(chance.choice([c["una"], c["nxt"], c["top"]])) + chance.choice([0, 0, 0, 1]),
        flags=chance.choice([ACK, ACK, ACK | PSH, ACK | FIN, RST, SYN | ACK, chance.getrandbits(8)]),
        window=chance.choice([0, 1, 1000, 65_535]),
        data=chance.randbytes(chance.choice([0, 0, 1, 10, 500, 1400])),
        stamp=chance.choice([None, (chance.getrandbits(32), 1), (int(c["ts_recent"]), 1)]),
        options=chance.randbytes(chance.choice([0, 0, 0, 4, 8])),
    )  # fmt: skip
    packet = bytearray(segment.packet())
    kind = chance.random()
    if kind < 0.05:
        packet = packet[: chance.randrange(len(packet))]
    elif kind < 0.15:
        packet[chance.randrange(20, len(packet))] ^= 1 << chance.randrange(8)
    elif kind < 0.25:
        quote = Segment(int(c["ours"]), int(c["peer"]), int(c["own_port"]), int(c["peer_port"]), int(c["una"]))
        body = bytes([chance.choice([3, 11, 12, 4, 5]), chance.randrange(18), 0, 0, 0, 0, *chance.randbytes(2)])
        packet = bytearray(ip_packet(0x01020304, int(c["ours"]), 1, body + quote.packet()[: chance.randrange(60)]))
    return bytes(packet)


@fuzz
@pytest.mark.parametrize("objects", [False, True])
def test_no_packet_breaks_the_table(objects: bool) -> None:
    chance = random.Random(11)
    hand = Hand(6, payload=bytes(300), chunks=9, total=3.0, max_bytes=3000)
    number = 0
    for i in range(COUNT // 2):
        while hand.open < 5:
            number += 1
            row = half(
                own_port=40_000 + number % 7, mss=chance.choice([0, 1, 88, 1460]), wscale=chance.randint(-1, 127),
                window=chance.choice([0, 10, 65_535]), has_ts=number % 2, seq=chance.getrandbits(32),
                ack=chance.getrandbits(32), rtt=chance.choice([np.nan, 0.0, 0.1, 1e300]),
            )  # fmt: skip
            if objects:
                slot = hand.begin_dialogue(row)
                if slot < 0:
                    continue  # it is open
                hand.obey(slot, b"words", say_at=hand.now + 10**6, total_at=hand.now + 3 * 10**6)
            else:
                hand.begin(row)
        hand.feed(noise(chance, hand), finished=chance.random() < 0.8)
        for slot, kind, _ in hand.events:
            if kind != tcp.DATA or chance.random() < 0.3:
                hand.obey(slot, chance.randbytes(chance.randrange(40)), close=chance.randrange(3))
        hand.events.clear()
        if chance.random() < 0.1:
            hand.wait(chance.choice([0.005, 0.05, 1.0]))
        if i % 64 == 0:
            check_table(hand.table)
    hand.wait(60)
    tcp_talking.abort_every(hand.table, 0)
    assert hand.open == 0
    assert hand.table.now[tcp.CHUNKS_USED] == 0
    check_table(hand.table)


def test_what_a_connection_costs() -> None:
    """200,000 connections, a chunk of bytes for each: below 400 MB, all arrays counted."""
    table = tcp.make(200_000, np.zeros((16, tcp.STRIDE), np.uint8), np.zeros(16, np.int64))
    assert tcp.CONNECTION.itemsize <= 240
    assert tcp.memory(table) < 300e6


_MANY = """
import numpy as np
from stages.net import ring, tcp, tcp_input, tcp_talking
from tests.servers.tcp_table import START_US, WALL_US, Segment, half
COUNT = 200_000
table = tcp.make(COUNT, np.zeros((1024, tcp.STRIDE), np.uint8), np.zeros(1024, np.int64), payload=b"x", now=START_US)
rows = np.repeat(half(), COUNT)
rows["peer"] += np.arange(COUNT, dtype=np.uint32)
done = 0
while done < COUNT:
    done = tcp_talking.open_fixed(table, rows, done, START_US, WALL_US)
    table.now[tcp.FRAMES] = 0
packet = np.frombuffer(Segment(seq=1001, ack=5001, data=bytes(500)).packet(), np.uint8)
PART = 500
block = np.tile(packet, (PART, 1))
places = np.zeros((PART, ring.COLUMNS), np.int64)
places[:, 0] = np.arange(PART) * packet.size
places[:, 1] = places[:, 0] + packet.size
places[:, 2] = WALL_US
for first in range(0, COUNT, PART):
    block[:, 12:16] = rows["peer"][first : first + PART].astype(">u4").view(np.uint8).reshape(PART, 4)
    block[:, 10:12] = 0
    total = block[:, :20].copy().view(">u2").sum(axis=1, dtype=np.uint64)
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    block[:, 10:12] = (total ^ 0xFFFF).astype(">u2").view(np.uint8).reshape(PART, 2)
    assert tcp_input.receive(table, block.reshape(-1), places, 0, PART, WALL_US - START_US, START_US) == PART
    table.now[tcp.FRAMES] = 0
assert (table.now[tcp.OPEN], table.now[tcp.CHUNKS_USED]) == (COUNT, COUNT)
print(*(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@pytest.mark.timeout(900)
def test_two_hundred_thousand_open_with_half_a_kilobyte_each() -> None:
    """All of the process, interpreter and numba too: MB."""
    for _ in range(2):  # the first one may compile, and compilers are large
        argv = [sys.executable, "-c", _MANY]
        told = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=400).stdout
    assert int(told) / 1000 < 400


@pytest.mark.parametrize("more", [{"capacity": 0}, {"own_wscale": 15}, {"idle": -1.0}, {"max_bytes": -1}])
def test_numbers_that_cannot_be(more: dict[str, float]) -> None:
    with pytest.raises(ValueError):
        Hand(**more)
