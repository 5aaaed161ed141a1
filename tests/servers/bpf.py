"""A classic BPF program, run by hand (linux Documentation/networking/filter.rst): what the kernel does is compared."""

from __future__ import annotations

import struct

from stages.net import bpf

_INSTRUCTION = struct.Struct("=HBBI")


def run(code: bytes, packet: bytes) -> int:
    """Bytes of the packet that the program keeps; 0: it drops it. So does a load beyond the end, as in the kernel."""
    program = list(_INSTRUCTION.iter_unpack(code))
    a = x = at = 0
    while True:
        op, yes, no, k = program[at]
        at += 1
        if op == bpf.RET:
            return min(k, len(packet))
        if op in (bpf.LD_W, bpf.LD_H, bpf.LD_B, bpf.LD_H_X, bpf.LD_B_X, bpf.LDX_IP):
            size = {bpf.LD_W: 4, bpf.LD_H: 2, bpf.LD_H_X: 2}.get(op, 1)
            start = k + (x if op in (bpf.LD_H_X, bpf.LD_B_X) else 0)
            if start + size > len(packet):
                return 0
            value = int.from_bytes(packet[start : start + size], "big")
            if op == bpf.LDX_IP:
                x = 4 * (value & 15)
            else:
                a = value
        elif op == bpf.AND:
            a &= k
        else:
            taken = {bpf.JEQ: a == k, bpf.JGT: a > k, bpf.JGE: a >= k, bpf.JSET: bool(a & k)}[op]
            at += yes if taken else no
