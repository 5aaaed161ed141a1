"""A table of the user-space TCP with a hand on both ends: packets in as bytes, what leaves as segments."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np

from stages.net import ring, tcp, tcp_input, tcp_talking, tcp_timers
from stages.net.checksum import checksum, pseudo_sum
from stages.net.halfopen import HALFOPEN

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
OURS, PEER = 0xC6336402, 0x0A000001
START_US = 1_000_000_000
WALL_US = 1_700_000_000_000_000
ROWS = 1024


@dataclass
class Segment:
    """One TCP segment."""

    source: int = PEER
    target: int = OURS
    sport: int = 80
    dport: int = 40_000
    seq: int = 0
    ack: int = 0
    flags: int = ACK
    window: int = 65_535
    data: bytes = b""
    stamp: tuple[int, int] | None = None
    options: bytes = b""

    @property
    def end(self) -> int:
        return (self.seq + len(self.data) + bool(self.flags & FIN) + bool(self.flags & SYN)) % (1 << 32)

    def packet(self) -> bytes:
        """From the IPv4 header on."""
        options = self.options
        if self.stamp is not None:
            options += b"\x01\x01\x08\x0a" + struct.pack("!II", *self.stamp)
        options = options.ljust(-(-len(options) // 4) * 4, b"\0")
        head = struct.pack(
            "!HHIIBBHHH", self.sport, self.dport, self.seq % (1 << 32), self.ack % (1 << 32),
            (20 + len(options)) << 2, self.flags, self.window, 0, 0,
        ) + options  # fmt: skip
        body = head + self.data
        total = int(np.frombuffer(body + b"\0" * (len(body) % 2), ">u2").sum(dtype=np.uint64))
        total += pseudo_sum(self.source, self.target, 6, len(body))
        while total >> 16:
            total = (total & 0xFFFF) + (total >> 16)
        body = body[:16] + (total ^ 0xFFFF).to_bytes(2, "big") + body[18:]
        return ip_packet(self.source, self.target, 6, body)


def ip_packet(source: int, target: int, protocol: int, body: bytes) -> bytes:
    head = struct.pack("!BBHHHBBHII", 0x45, 0, 20 + len(body), 7, 0, 64, protocol, 0, source, target)
    return head[:10] + checksum(head).to_bytes(2, "big") + head[12:] + body


def parse(packet: bytes) -> Segment:
    """The segment of an IPv4 packet; its checksums must be right."""
    assert checksum(packet[:20]) == 0
    source, target = struct.unpack_from("!II", packet, 12)
    assert int.from_bytes(packet[2:4], "big") == len(packet)
    body = packet[20:]
    total = int(np.frombuffer(body + b"\0" * (len(body) % 2), ">u2").sum(dtype=np.uint64))
    total += pseudo_sum(source, target, 6, len(body))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    assert total == 0xFFFF, "TCP checksum"
    sport, dport, seq, ack, head, flags, window = struct.unpack_from("!HHIIBBH", body)
    options = body[20 : head >> 2]
    stamp = None
    if options[:4] == b"\x01\x01\x08\x0a":
        stamp = struct.unpack("!II", options[4:12])
    return Segment(source, target, sport, dport, seq, ack, flags, window, body[head >> 2 :], stamp, options)


def half(**more: Any) -> np.ndarray:
    """One row of HALFOPEN: a server on port 80 that offers what Linux offers."""
    row = np.zeros(1, HALFOPEN)
    values = {
        "peer": PEER, "ours": OURS, "peer_port": 80, "own_port": 40_000, "seq": 1000, "ack": 5000, "window": 65_535,
        "mss": 1460, "wscale": 7, "sack": 1, "ts": WALL_US, "rtt": 0.01,
    } | more  # fmt: skip
    for name, value in values.items():
        row[name] = value
    return row


class Hand:
    """See the module's docstring. Time is `now`, and goes on only when told."""

    def __init__(self, capacity: int = 4, **more: Any) -> None:
        self.frames = np.zeros((ROWS, tcp.STRIDE), np.uint8)
        self.now = START_US
        more = {"own_wscale": 8, "first": 5.0, "idle": 1.0, "total": 30.0, "close": "fin"} | more
        self.table = tcp.make(capacity, self.frames, np.zeros(ROWS, np.int64), now=self.now, key=7, **more)
        self._rows = np.zeros((64, ring.COLUMNS), np.int64)
        self.ended: list[tuple[np.void, bytes]] = []
        self.events: list[tuple[int, int, bytes]] = []

    @property
    def open(self) -> int:
        return int(self.table.now[tcp.OPEN])

    @property
    def counters(self) -> dict[str, int]:
        return tcp.counters(self.table)

    def connection(self, slot: int = 0) -> np.void:
        row: np.void = self.table.connections[slot]
        return row

    def begin(self, rows: np.ndarray | None = None) -> list[Segment]:
        rows = half() if rows is None else rows
        assert tcp_talking.open_fixed(self.table, rows, 0, self.now, WALL_US + self.now - START_US) == len(rows)
        return self.out()

    def begin_dialogue(self, row: np.ndarray | None = None) -> int:
        slots = np.zeros(1, np.int64)
        row = half() if row is None else row
        assert tcp_talking.open_dialogues(self.table, row, slots, self.now, WALL_US + self.now - START_US) == 1
        return int(slots[0])

    def obey(
        self, slot: int, words: bytes = b"", *, say_at: int = tcp_talking.KEEP, close: int = 0, total_at: int = -1
    ) -> list[Segment]:
        command = np.array([(slot, close, 0, len(words), say_at, total_at)], tcp_talking.COMMAND)
        data = np.frombuffer(bytearray(words or b"\0"), np.uint8)
        assert tcp_talking.obey(self.table, command, 0, 1, data, self.now) == 1
        return self.out()

    def feed(self, *packets: bytes | Segment, finished: bool = True, at: int | None = None) -> list[Segment]:
        """Packets of one block; returns what leaves."""
        block = bytearray()
        for i, packet in enumerate(packets):
            data = packet.packet() if isinstance(packet, Segment) else packet
            arrival = (self.now if at is None else at) + WALL_US - START_US
            self._rows[i] = len(block), len(block) + len(data), arrival, finished
            block += data
        data = np.frombuffer(block or bytearray(1), np.uint8)
        done, out = 0, []
        while done < len(packets):
            done = tcp_input.receive(self.table, data, self._rows, done, len(packets), WALL_US - START_US, self.now)
            out += self.out()
        return out

    def wait(self, seconds: float) -> list[Segment]:
        """Time goes on."""
        self.now += int(seconds * 1e6)
        out = []
        while not tcp_timers.tick(self.table, self.now):
            out += self.out()
        return out + self.out()

    def out(self) -> list[Segment]:
        """Take away what the kernels wrote."""
        numbers = self.table.now
        ip = int(self.table.rules[tcp.IP_AT])
        out = []
        for i in range(int(numbers[tcp.FRAMES])):
            out.append(parse(self.frames[i, ip : int(self.table.lengths[i])].tobytes()))
        numbers[tcp.FRAMES] = 0
        for row in self.table.endings[: numbers[tcp.ENDINGS]].copy():
            at = int(row["data_at"])
            self.ended.append((row, self.table.kept[at : at + int(row["data_size"])].tobytes()))
        for event in self.table.events[: numbers[tcp.EVENTS]]:
            at = int(event["data_at"])
            self.events.append(
                (int(event["slot"]), int(event["kind"]), self.table.heard[at : at + int(event["size"])].tobytes())
            )
        numbers[tcp.ENDINGS] = numbers[tcp.KEPT] = numbers[tcp.EVENTS] = numbers[tcp.HEARD] = 0
        return out


def check_table(table: tcp.Tcp) -> None:
    """What must hold of a table between any two calls."""
    numbers = table.now
    top = int(numbers[tcp.TOP_SLOT])
    used = [slot for slot in range(top) if table.connections["flags"][slot] & tcp.USED]
    assert len(used) == numbers[tcp.OPEN]
    assert sorted(table.places[table.places >= 0].tolist()) == used
    free, slot = [], int(numbers[tcp.FREE_SLOT])
    while slot >= 0:
        free.append(slot)
        slot = int(table.connections["behind"][slot])
    assert sorted(free + used) == list(range(top))
    wheel = []
    for bucket, slot in enumerate(table.wheel.tolist()):
        before = -1
        while slot >= 0:
            c = table.connections[slot]
            assert (c["bucket"], c["before"]) == (bucket, before)
            wheel.append(slot)
            before, slot = slot, int(c["behind"])
    assert sorted(wheel) == used, "each open connection has a deadline"
    chunks: list[int] = []
    for slot in used:
        c = table.connections[slot]
        for head in (int(c["in_head"]), int(c["out_head"])):
            while head >= 0:
                chunks.append(head)
                head = int(table.links[head])
        assert c["ranges"] <= tcp.RANGES
        ahead = (int(c["top"]) - int(c["una"])) % (1 << 32)
        assert ahead < 1 << 31
    assert len(chunks) == len(set(chunks)) == numbers[tcp.CHUNKS_USED]
    chunk = int(numbers[tcp.FREE_CHUNK])
    while chunk >= 0:
        chunks.append(chunk)
        chunk = int(table.links[chunk])
    assert sorted(chunks) == list(range(int(numbers[tcp.TOP_CHUNK])))
