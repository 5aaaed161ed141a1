"""What probes get back, made with scapy, and a probe module's filter and classify kernel run on it."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scapy.packet import Packet

from stages.net import bpf, ring
from stages.scanner import probes
from stages.scanner.answers import ANSWER
from stages.scanner.frames import FrameBuilder
from stages.scanner.permutation import Permutation
from stages.scanner.space import Space
from tests.servers.blocks import block
from tests.servers.bpf import run

SECRET = bytes(range(16))
OURS = 0xC6336402  # 198.51.100.2
PORTS = (40000, 40999)


@dataclass
class Reader:
    """One probe module, ready to read answers to `probes` probes a target."""

    name: str
    each: int = 1
    args: str | None = None
    ports: tuple[int, ...] = (0,)

    def __post_init__(self) -> None:
        self.module = probes.get(self.name, self.args)
        space = Space.build([(0, 1)], self.ports)
        self.constants = FrameBuilder(
            space,
            Permutation(space.size, 0),
            self.module,
            SECRET,
            source_ips=(OURS,),
            source_ports=PORTS,
            probes=self.each,
        ).constants

    def classify(self, frames: Sequence[bytes], *, status: int = 0, snap: int = 1 << 16) -> np.ndarray:
        """Rows for what validates, whatever the filter would say."""
        data = block(frames, status=status, snap=snap)
        table = np.zeros((ring.MAX_PACKETS, ring.COLUMNS), np.int64)
        out = np.zeros(ring.MAX_PACKETS, ANSWER)
        out["mss"], out["wscale"], out["has_ts"], out["icmp_type"] = 7, 7, 1, 7  # left over from an earlier block
        _, rows = ring.packets(data, table)
        return out[: self.module.classify(data, table, rows, self.constants, out)]

    def passes(self, frame: bytes) -> bool:
        """Whether the kernel filter, run by the kernel, lets the frame through; our own interpreter must agree."""
        sender, receiver = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        with sender, receiver:
            bpf.attach(receiver, self.module.filter(PORTS))
            receiver.setblocking(False)
            sender.send(frame)
            try:
                return len(receiver.recv(1 << 16)) == run(self.module.filter(PORTS), frame) > 0
            except BlockingIOError:
                assert run(self.module.filter(PORTS), frame) == 0
                return False

    def read(self, packet: Packet | bytes, **more: int) -> np.void | None:
        """The one row of a packet that passes the filter and validates; None if it does not."""
        frame = bytes(packet)
        rows = self.classify([frame], **more)
        assert len(rows) <= 1
        return rows[0] if len(rows) and self.passes(frame) else None
