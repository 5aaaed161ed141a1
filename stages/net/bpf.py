"""Classic BPF (McCanne and Jacobson, 1993) for packet sockets: a small assembler, and the attaching of programs.

A program is built from instructions and labels; `assemble` turns the labels into the relative jumps of struct
sock_filter { u16 code; u8 jt, jf; u32 k } (linux/filter.h). A jump reaches at most 255 instructions. The value returned
is the number of bytes to keep of the packet, 0 to drop it.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

SO_ATTACH_FILTER: Final = 26

LD_W: Final = 0x20  # A = u32 at k
LD_H: Final = 0x28
LD_B: Final = 0x30
LDX_IP: Final = 0xB1  # X = 4 * (byte at k & 0xf): the length of an IPv4 header
LD_H_X: Final = 0x48  # A = u16 at X + k
LD_B_X: Final = 0x50
AND: Final = 0x54
JEQ: Final = 0x15
JGT: Final = 0x25
JGE: Final = 0x35
JSET: Final = 0x45
RET: Final = 0x06

_MAX_JUMP: Final = 255
_INSTRUCTION: Final = struct.Struct("=HBBI")


@dataclass(frozen=True, slots=True)
class Op:
    """One instruction. For jumps, `yes` and `no` name the labels gone to; None is the next instruction."""

    code: int
    k: int = 0
    yes: str | None = None
    no: str | None = None


def assemble(program: Sequence[Op | str]) -> bytes:
    """Machine code of a program: instructions, and strings that label the instruction behind them.

    Raises ValueError for an unknown label, a jump backwards or one that is too far.
    """
    places: dict[str, int] = {}
    ops: list[Op] = []
    for item in program:
        if isinstance(item, str):
            places[item] = len(ops)
        else:
            ops.append(item)

    def reach(here: int, label: str | None) -> int:
        if label is None:
            return 0
        if label not in places:
            raise ValueError(f"no label {label!r} in the filter")
        distance = places[label] - here - 1
        if not 0 <= distance <= _MAX_JUMP:
            raise ValueError(f"jump to {label!r} by {distance} instructions")
        return distance

    return b"".join(_INSTRUCTION.pack(op.code, reach(i, op.yes), reach(i, op.no), op.k) for i, op in enumerate(ops))


def attach(sock: socket.socket, code: bytes) -> None:
    """Put the program on the socket; replaces the one before. Raises OSError (EINVAL: the kernel refuses it)."""
    buffer = ctypes.create_string_buffer(code, len(code))
    # struct sock_fprog { unsigned short len; struct sock_filter *filter; }, natural alignment
    fprog = struct.pack("HP", len(code) // _INSTRUCTION.size, ctypes.addressof(buffer))
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, fprog)
