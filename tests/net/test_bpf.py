from __future__ import annotations

import socket

import pytest

from stages.net import bpf

IS_B_AT_1 = [bpf.Op(bpf.LD_B, 1), bpf.Op(bpf.JEQ, ord("b"), "yes"), bpf.Op(bpf.RET, 0), "yes", bpf.Op(bpf.RET, 3)]


def through(code: bytes, packet: bytes) -> bytes | None:
    """What the kernel's filter lets through of `packet`: a Unix datagram socket runs it on the datagram itself."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        bpf.attach(theirs, code)
        theirs.setblocking(False)
        ours.send(packet)
        try:
            return theirs.recv(1 << 16)
        except BlockingIOError:
            return None


def test_the_encoding() -> None:
    program = [bpf.Op(bpf.LD_H, 12), bpf.Op(bpf.JEQ, 0x800, None, "no"), bpf.Op(bpf.RET, 9), "no", bpf.Op(bpf.RET)]
    words = ("280000000c000000", "1500000100080000", "0600000009000000", "0600000000000000")
    assert bpf.assemble(program) == bytes.fromhex("".join(words))


@pytest.mark.parametrize(("packet", "kept"), [(b"abcdef", b"abc"), (b"axcdef", None), (b"a", None)])
def test_the_kernel_runs_it(packet: bytes, kept: bytes | None) -> None:
    assert through(bpf.assemble(IS_B_AT_1), packet) == kept


@pytest.mark.parametrize("program", [
    [bpf.Op(bpf.JEQ, 0, "nowhere"), bpf.Op(bpf.RET)],
    ["back", bpf.Op(bpf.LD_B), bpf.Op(bpf.JEQ, 0, "back"), bpf.Op(bpf.RET)],
    [bpf.Op(bpf.JEQ, 0, "far"), *[bpf.Op(bpf.LD_B)] * 256, "far", bpf.Op(bpf.RET)],
])  # fmt: skip
def test_bad_jumps_are_named(program: list[bpf.Op | str]) -> None:
    with pytest.raises(ValueError, match=r"label|jump"):
        bpf.assemble(program)


def test_the_kernel_refuses_a_program_without_return() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock, pytest.raises(OSError, match="Invalid"):
        bpf.attach(sock, bpf.assemble([bpf.Op(bpf.LD_B, 0)]))
