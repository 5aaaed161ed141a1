"""A responder without a wire: frames made by scapy in, frames read by scapy out."""

from __future__ import annotations

from typing import Any

import numpy as np
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Packet

from stages.net.ring import COLUMNS, MAX_PACKETS, packets
from stages.simnet import responder_truth as truths
from stages.simnet.responder_frames import react
from stages.simnet.responder_queue import COUNTERS, ROW_BYTES, Queue, mature, queue_of
from stages.simnet.responder_spec import Reaction, Responder
from tests.servers.blocks import block

NEAR, FAR = "02:00:00:00:00:01", "02:00:00:00:00:02"
US, TARGET = "198.18.0.1", "10.1.2.3"
OPTIONS = [("MSS", 1460), ("SAckOK", b""), ("Timestamp", (77, 0)), ("NOP", None), ("WScale", 6)]


class Net:
    """A responder without a wire in which everybody has the same reaction. `more` as of `Responder`."""

    def __init__(
        self, reaction: Reaction = Reaction.SYNACK, *, rows: int = 64, capacity: int = 8, stride: int = ROW_BYTES,
        flights: tuple[bytes, ...] = (), **more: Any,
    ) -> None:  # fmt: skip
        self.responder = Responder(("10.0.0.0/8",), {reaction.name.lower(): 1.0}, (0.5,), **more)
        self.rules = truths.rules_of(1, self.responder, flights)
        self.truth = truths.ResponderTruth(1, self.responder, flights)
        self.stride = stride
        self.out = np.zeros(rows * stride, np.uint8)
        self.lengths = np.zeros(rows, np.int64)
        self.queue: Queue = queue_of(2, capacity, stride)
        self.counted = np.zeros(len(COUNTERS), np.int64)

    def ask(self, *probes: Packet | bytes, now: int = 0, status: int = 0) -> list[Packet]:
        table = np.zeros((MAX_PACKETS, COLUMNS), np.int64)
        data = block([bytes(probe) for probe in probes], status=status)
        _, count = packets(data, table)
        answers, at = [], 0
        while at < count:
            at, rows = react(data, table, at, count, self.rules, self.out, self.lengths, self.queue, self.counted, now)
            answers += self.read(rows)
        return answers

    def later(self, now: int) -> list[Packet]:
        return self.read(mature(self.queue, self.out, self.lengths, self.counted, now))

    def read(self, rows: int) -> list[Packet]:
        frames = self.out.reshape(-1, self.stride)
        return [Ether(frames[row, : self.lengths[row]].tobytes()) for row in range(rows)]

    @property
    def counters(self) -> dict[str, int]:
        return {name: n for name, n in zip(COUNTERS, self.counted.tolist(), strict=True) if n}


def ip(target: str = TARGET) -> Packet:
    return Ether(src=NEAR, dst=FAR) / IP(src=US, dst=target)


def syn(sport: int = 40_000, seq: int = 1000, options: list[object] | None = None, target: str = TARGET) -> Packet:
    return ip(target) / TCP(sport=sport, dport=80, seq=seq, flags="S", options=OPTIONS if options is None else options)


def right(packet: Packet) -> bool:
    """Whether every checksum is what scapy would write."""
    again = packet.copy()
    for layer in (IP, TCP, UDP, ICMP):
        if layer in again:
            del again[layer].chksum
    return bytes(again.__class__(bytes(again))) == bytes(packet)
