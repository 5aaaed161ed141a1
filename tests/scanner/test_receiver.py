from __future__ import annotations

import numpy as np
import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from stages.net.ring import BLOCK_BYTES, BLOCKS
from stages.scanner import order, probes
from stages.scanner.answers import ANSWER, RST, SYNACK
from stages.scanner.claims import Claims
from stages.scanner.dedup import Seen
from stages.scanner.frames import FrameBuilder
from stages.scanner.permutation import Permutation
from stages.scanner.receiver import Receiver, gather, place
from stages.scanner.rows import rows
from stages.scanner.space import Space
from tests.servers.blocks import block
from tests.servers.wire import ether

SECRET, OURS, PORTS = bytes(range(16)), 0xC6336402, (40000, 40999)
SPACE = Space.build([(10 << 24, (10 << 24) + 99), (11 << 24, (11 << 24) + 99)], (80, 443))
PERMUTATION = Permutation(SPACE.size, 3)


class FakeRing:
    """Gives blocks; the receiver must take each and give it back."""

    def __init__(self, blocks: list[np.ndarray]) -> None:
        self.blocks = blocks
        self.held = 0

    def wait(self, milliseconds: int) -> np.ndarray | None:
        if not self.blocks:
            return None
        self.held += 1
        return self.blocks.pop(0)

    def release(self) -> None:
        self.held -= 1

    def count_drops(self) -> int:
        return 5


class Scan:
    """A receiver without a wire: what the frame builder sends is turned round by `answer`."""

    def __init__(self, sent: int = 400) -> None:
        module = probes.get("tcp_synscan")
        self.builder = FrameBuilder(
            SPACE, PERMUTATION, module, SECRET, source_ips=(OURS,), source_ports=PORTS, batch=400
        )
        self.builder.fill(0, 400)
        self.claims = Claims(0, 400, 10, 1, 0)
        self.claims.begin(None)
        while self.claims.next < sent:
            claim = self.claims.take()
            assert claim is not None
            self.claims.finished(claim)
        self.got: list[np.ndarray] = []
        self.ring = FakeRing([])
        self.cooling = False
        self.error: Exception | None = None
        self.receiver = Receiver(
            self.ring, module, order.build(PERMUTATION, SPACE), self.builder.constants, self.claims,  # type: ignore[arg-type]
            Seen("full", 1), self.take, cooling=lambda: self.cooling, over=lambda: not self.ring.blocks,
        )  # fmt: skip

    def take(self, answers: np.ndarray) -> None:
        if self.error is not None:
            raise self.error
        self.got.append(answers)

    def read(self, *frames: bytes) -> np.ndarray:
        self.ring.blocks = [block(list(frames), second=2_000_000_000)]
        before = len(self.got)
        self.receiver.run()
        assert self.ring.held == 0
        return np.concatenate([np.empty(0, ANSWER), *self.got[before:]])

    def answer(self, position: int, flags: int = 0x12) -> bytes:
        """The answer of position's target, from our own probe: addresses and ports swapped, seq acknowledged."""
        probe = self.builder.frame(position)
        ack = (int.from_bytes(probe[38:42], "big") + 1) & 0xFFFFFFFF
        ip = bytearray(probe[14:34])
        ip[2:4], ip[10:12], ip[12:16], ip[16:20] = b"\0\x28", b"\0\0", probe[30:34], probe[26:30]
        ip[10:12] = internet(bytes(ip))
        tcp = bytearray(
            probe[36:38] + probe[34:36] + bytes(4) + ack.to_bytes(4, "big") + bytes([0x50, flags]) + bytes(6)
        )
        tcp[16:18] = internet(bytes(ip[12:20]) + b"\0\x06\0\x14" + bytes(tcp))
        return probe[:14] + bytes(ip) + bytes(tcp)


def internet(data: bytes) -> bytes:
    from stages.net.checksum import checksum

    return checksum(data).to_bytes(2, "big")


def test_answers_get_their_position_and_a_repeat_is_marked() -> None:
    scan = Scan()
    answers = scan.read(scan.answer(7), scan.answer(399), scan.answer(7), scan.answer(8, 0x14), scan.answer(8))
    assert answers["position"].tolist() == [7, 399, 7, 8, 8]
    assert answers["kind"].tolist() == [SYNACK, SYNACK, SYNACK, RST, SYNACK]
    assert answers["repeat"].tolist() == [0, 0, 1, 0, 0]
    address, port = SPACE.at(PERMUTATION.at(answers["position"]))
    assert answers["address"].tolist() == address.tolist()
    assert answers["port"].tolist() == port.tolist()
    assert scan.read(scan.answer(399))["repeat"].tolist() == [1]
    tally = scan.receiver.tally
    assert (tally.received, tally.validated, tally.duplicates, tally.drops) == (6, 6, 2, 5)


def test_a_target_not_probed_yet_does_not_pass() -> None:
    scan = Scan(sent=200)
    assert scan.read(scan.answer(199), scan.answer(200), scan.answer(5))["position"].tolist() == [199, 5]
    assert scan.receiver.tally.received == 3


def test_the_cooldown_is_marked() -> None:
    scan = Scan()
    assert scan.read(scan.answer(1))["cooldown"].tolist() == [0]
    scan.cooling = True
    assert scan.read(scan.answer(2))["cooldown"].tolist() == [1]


def test_what_came_in_time_counts_though_it_is_read_too_late() -> None:
    """The thread had no CPU until all was over."""
    scan = Scan()
    for _ in range(2):
        scan.receiver._over = lambda: True
        scan.receiver._until = lambda: 2_000_000_000.0
        scan.ring.blocks = [
            block([scan.answer(1), scan.answer(2)], second=1_999_999_999), block([scan.answer(3)], second=2_000_000_001)
        ]  # fmt: skip
        scan.receiver.run()
    assert [answers["position"].tolist() for answers in scan.got] == [[1, 2], [1, 2]]
    assert [answers["repeat"].tolist() for answers in scan.got] == [[0, 0], [1, 1]]
    tally = scan.receiver.tally
    assert (tally.received, tally.validated, scan.ring.held, scan.ring.blocks) == (6, 4, 0, [])


def test_what_comes_without_end_does_not_keep_the_thread() -> None:
    scan = Scan()
    scan.receiver._over = lambda: True
    scan.ring.blocks = [block([scan.answer(1)])] * 1000
    scan.receiver.run()
    assert len(scan.ring.blocks) == 1000 - BLOCKS


def test_round_trips_are_filled_in() -> None:
    scan = Scan()
    rtt = scan.read(scan.answer(1))["rtt"][0]
    assert rtt == pytest.approx(2_000_000_000 - scan.claims.log.starts[0, 0] / 1e9, abs=1.0)


def test_an_error_of_the_consumer_stops_the_scan() -> None:
    scan = Scan(sent=100)
    scan.error = RuntimeError("disk full")
    scan.read(scan.answer(1))
    assert scan.receiver.error is scan.error
    assert scan.claims.take() is None


def test_warm_up_leaves_no_trace() -> None:
    scan = Scan()
    scan.receiver.warm_up()
    assert scan.receiver.tally.received == 0
    assert scan.read(scan.answer(0))["repeat"].tolist() == [0]


def test_place_keeps_the_order_and_moves_rows_to_the_front() -> None:
    rows = np.zeros(6, ANSWER)
    rows["address"] = [10 << 24, 1, (11 << 24) + 5, (10 << 24) + 100, (10 << 24) + 99, 10 << 24]
    rows["port"] = [80, 80, 443, 80, 443, 81]
    rows["seq"] = range(6)
    kept = place(order.build(PERMUTATION, SPACE), rows, 6, np.uint64(400))
    assert rows[:kept]["seq"].tolist() == [0, 2, 4]
    index = SPACE.index_of(rows[:kept]["address"], rows[:kept]["port"])
    assert rows[:kept]["position"].tolist() == PERMUTATION.inverse(index).tolist()


def test_blocks_are_as_large_as_the_rings() -> None:
    assert block([]).size == BLOCK_BYTES


def test_gather_copies_what_rows_point_to() -> None:
    data = np.arange(100, dtype=np.uint8)
    rows = np.zeros(3, ANSWER)
    rows["data_at"], rows["data_size"] = [50, 0, 10], [3, 0, 2]
    into = np.zeros(100, np.uint8)
    assert gather(data, rows, 3, into) == 5
    assert into[:5].tolist() == [50, 51, 52, 10, 11]
    assert rows["data_at"].tolist() == [0, 3, 3]
    small = np.zeros(4, np.uint8)
    rows["data_at"] = [50, 0, 10]
    assert gather(data, rows, 3, small) == 3  # what does not fit is left out, and nothing is written behind the end
    assert rows["data_size"].tolist() == [3, 0, 0]


def test_payloads_reach_the_consumer() -> None:
    module = probes.get("udp", "text:hello")
    space = Space.build([(10 << 24, (10 << 24) + 99)], (53,))
    permutation = Permutation(space.size, 3)
    builder = FrameBuilder(space, permutation, module, SECRET, source_ips=(OURS,), source_ports=PORTS, batch=100)
    builder.fill(0, 100)
    claims = Claims(0, 100, 100, 1, 0)
    claims.begin(None)
    claim = claims.take()
    assert claim is not None
    claims.finished(claim)
    got: list[np.ndarray] = []
    ring = FakeRing([])
    receiver = Receiver(
        ring, module, order.build(permutation, space), builder.constants, claims, Seen("full", 1), got.append,  # type: ignore[arg-type]
        cooling=lambda: False, over=lambda: not ring.blocks,
    )  # fmt: skip
    receiver.warm_up()
    frames = []
    for position in (5, 9):
        probe = Ether(builder.frame(position))
        answer = (
            IP(src=probe[IP].dst, dst=probe[IP].src) / UDP(sport=53, dport=probe[UDP].sport) / (b"from %d" % position)
        )
        frames.append(bytes(ether() / answer))
    ring.blocks = [block(frames), block(frames[:1])]
    receiver.run()
    assert [[row.data for row in rows(answers)] for answers in got] == [[b"from 5", b"from 9"], [b"from 5"]]
    assert [answers["repeat"].tolist() for answers in got] == [[0, 0], [1]]
