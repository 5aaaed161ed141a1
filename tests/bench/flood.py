"""Answers to a scan, sent without the scan: `python -m tests.bench.flood` in the far namespace.

Every SYN-ACK validates under SECRET. They go to a MAC address that is nobody's, so the near kernel drops them at once
and what is measured is the receive path alone. Standard input has a line `rate seconds` for each flood (0: as fast as
it goes); after each, `sent seconds` is printed.

The kernel carries a packet to the near end on the core of who sent it: one process alone does not fill the other end's
ring. So there can be several: `xdp` by AF_XDP, one for each queue, and `packet` by a packet socket.
"""

from __future__ import annotations

import sys
import time
from typing import Final

import numpy as np

from stages.net import xsk
from stages.net.packetsocket import Frames, FrameSender, Wire
from stages.scanner import order, probes
from stages.scanner.frames import FrameBuilder
from stages.scanner.permutation import Permutation
from stages.scanner.space import Space

SECRET: Final = bytes(range(16))
OURS: Final = 0xC6336402
SOURCE_PORTS: Final = (32768, 61000)
TARGETS: Final = 1 << 16
SPACE: Final = Space.build([(10 << 24, (10 << 24) + TARGETS - 1)], (80,))
PERMUTATION: Final = Permutation(TARGETS, 1)
NOBODY_MAC: Final = "02:00:00:00:00:99"
BATCH: Final = 512
_STRIDE: Final = 64
_LENGTH: Final = 54


def builder() -> FrameBuilder:
    return FrameBuilder(
        SPACE, PERMUTATION, probes.get("tcp_synscan", "smallest-probes"), SECRET, source_ips=(OURS,),
        source_ports=SOURCE_PORTS, batch=TARGETS, order=order.build(PERMUTATION, SPACE),
    )  # fmt: skip


def _sum(words: np.ndarray) -> np.ndarray:
    total = words.sum(axis=1, dtype=np.uint64)
    for _ in range(2):
        total = (total & np.uint64(0xFFFF)) + (total >> np.uint64(16))
    return (~total & np.uint64(0xFFFF)).astype(">u2")


def answers() -> np.ndarray:
    """A SYN-ACK for every target, one a row (u8, TARGETS x 64)."""
    made = builder()
    made.fill(0, TARGETS)
    probe = np.array([np.frombuffer(made.frame(row), np.uint8)[:_LENGTH] for row in range(TARGETS)])
    out = np.zeros((TARGETS, _STRIDE), np.uint8)
    out[:, :6] = np.frombuffer(bytes.fromhex(NOBODY_MAC.replace(":", "")), np.uint8)
    out[:, 12:24] = probe[:, 12:24]
    out[:, 16:18] = (0, 40)
    out[:, 26:30], out[:, 30:34] = probe[:, 30:34], probe[:, 26:30]
    out[:, 34:36], out[:, 36:38] = probe[:, 36:38], probe[:, 34:36]
    ack = probe[:, 38:42].copy().view(">u4").ravel() + np.uint32(1)
    out[:, 42:46] = ack.astype(">u4").view(np.uint8).reshape(-1, 4)
    out[:, 46], out[:, 47], out[:, 48] = 0x50, 0x12, 0xFF
    out[:, 24:26] = _sum(out[:, 14:34].copy().view(">u2")).view(np.uint8).reshape(-1, 2)
    pseudo = np.tile(np.array([0, 6, 0, 20], np.uint8), (TARGETS, 1))
    segment = np.concatenate([out[:, 26:34], pseudo, out[:, 34:_LENGTH]], axis=1)
    out[:, 50:52] = _sum(segment.copy().view(">u2")).view(np.uint8).reshape(-1, 2)
    return out


def open_wire(engine: str) -> tuple[Wire, int]:
    """What sends, and how many rows a block of it has."""
    rows = BATCH if engine == "xdp" else TARGETS
    shape = (TARGETS // rows, rows, _STRIDE)
    memory = xsk.memory(TARGETS * _STRIDE)[: TARGETS * _STRIDE].reshape(shape)
    memory[:] = answers().reshape(shape)
    frames = Frames(memory, _LENGTH)
    return (xsk.open_best("far0", frames) if engine == "xdp" else FrameSender("far0", frames)), rows


def main(engine: str) -> None:
    wire, rows = open_wire(engine)
    first = 0
    print("ready", flush=True)
    for line in sys.stdin:
        rate, seconds = map(float, line.split())
        begin, sent = time.monotonic(), 0
        while (now := time.monotonic()) < begin + seconds:
            if rate and sent > (now - begin) * rate:
                time.sleep(20e-6)
                continue
            while wire.free() < 0:
                time.sleep(20e-6)
            done = 0
            while done < BATCH:
                done += wire.send(first + done, BATCH - done)[0]
            sent += BATCH
            first = (first + BATCH) % rows
        while not wire.drain():
            time.sleep(1e-4)
        print(sent, time.monotonic() - begin, flush=True)
    wire.close()


if __name__ == "__main__":
    main(sys.argv[1])
