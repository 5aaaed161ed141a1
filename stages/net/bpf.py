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
JA: Final = 0x05  # go on k instructions further
JEQ: Final = 0x15
JGT: Final = 0x25
JGE: Final = 0x35
JSET: Final = 0x45
RET: Final = 0x06

_LD_IMMEDIATE: Final = 0x00
_PACKET_LOADS: Final = frozenset({0x20, 0x28, 0x30, 0x40, 0x48, 0x50, 0xB1})  # loads at an offset in the packet

#: Offsets from here on are no offsets in the packet but what the kernel knows about it (linux/filter.h, SKF_AD_*).
_ANCILLARY: Final = 0xFFFFF000
_VLAN_ID: Final = _ANCILLARY + 44
_VLAN_PRESENT: Final = _ANCILLARY + 48
_VLAN_MASK: Final = 0xFFF

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


def without_link_header(code: bytes, header: int, ethertype: int) -> bytes:
    """The program for packets that lack the `header` bytes of link header which it was written for. They are all of
    the kind `ethertype`, which was the header's last two bytes."""
    out = []
    for operation, yes, no, k in _INSTRUCTION.iter_unpack(code):
        if operation == LD_H and k == header - 2:
            operation, k = _LD_IMMEDIATE, ethertype
        elif operation in _PACKET_LOADS and k < _ANCILLARY:
            if k < header:
                raise ValueError(f"the filter looks at byte {k} of the link header")
            k -= header
        out.append(_INSTRUCTION.pack(operation, yes, no, k))
    return b"".join(out)


def of_vlan(code: bytes, vlan: int) -> bytes:
    """The program for packets with this 802.1Q tag only, which the kernel has taken out already; 0: also for those
    without a tag."""
    tagged: list[Op | str] = [] if vlan == 0 else [Op(LD_W, _VLAN_PRESENT), Op(JEQ, 1, "tagged"), Op(RET, 0), "tagged"]
    ours: list[Op | str] = [Op(LD_W, _VLAN_ID), Op(AND, _VLAN_MASK), Op(JEQ, vlan, "ours"), Op(RET, 0), "ours"]
    return assemble([*tagged, *ours]) + code


def either(programs: Sequence[bytes]) -> bytes:
    """The program that keeps what any of them keeps: where one would drop, the next one is asked."""
    *before, last = programs
    code = last
    for program in reversed(before):
        ops = list(_INSTRUCTION.iter_unpack(program))
        out = b""
        for i, (operation, yes, no, k) in enumerate(ops):
            if operation == RET and k == 0:
                operation, k = JA, len(ops) - i - 1
            out += _INSTRUCTION.pack(operation, yes, no, k)
        code = out + code
    return code


def attach(sock: socket.socket, code: bytes) -> None:
    """Put the program on the socket; replaces the one before. Raises OSError (EINVAL: the kernel refuses it)."""
    buffer = ctypes.create_string_buffer(code, len(code))
    # struct sock_fprog { unsigned short len; struct sock_filter *filter; }, natural alignment
    fprog = struct.pack("HP", len(code) // _INSTRUCTION.size, ctypes.addressof(buffer))
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, fprog)
