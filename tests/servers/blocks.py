"""Blocks as the kernel's TPACKET_V3 ring hands them over, made from packets (linux/if_packet.h)."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from stages.net.ring import BLOCK_BYTES

CSUMNOTREADY = 1 << 3
_MAC = 80  # where the frame begins in its slot: behind struct tpacket3_hdr and sockaddr_ll, aligned
_FIRST = 48


def block(
    frames: Sequence[bytes], *, snap: int = 1 << 16, status: int = 0, second: int = 1_000, nanosecond: int = 0,
    header: int = 14,
) -> npt.NDArray[np.uint8]:  # fmt: skip
    """One block with `frames`, each cut to `snap` bytes; the i-th arrived i microseconds after the first. Each begins
    with a link header of `header` bytes."""
    out = np.zeros(BLOCK_BYTES, np.uint8)
    at = _FIRST
    for i, frame in enumerate(frames):
        kept = frame[:snap]
        step = -(-(_MAC + len(kept)) // 16) * 16
        last = i == len(frames) - 1
        head = struct.pack(
            "=IIIIIIHHIIH", 0 if last else step, second, nanosecond + 1000 * i, len(kept), len(frame), 1 | status,
            _MAC, _MAC + header, 0, 0, 0,
        )  # fmt: skip
        out[at : at + len(head)] = np.frombuffer(head, np.uint8)
        out[at + _MAC : at + _MAC + len(kept)] = np.frombuffer(kept, np.uint8)
        at += step
    out[:32] = np.frombuffer(struct.pack("=IIIIIIQ", 1, 0, 1, len(frames), _FIRST, at, 0), np.uint8)
    return out
