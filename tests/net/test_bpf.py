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


def test_without_a_link_header() -> None:
    written = bpf.assemble([
        bpf.Op(bpf.LD_H, 12), bpf.Op(bpf.JEQ, 0x800, None, "no"), bpf.Op(bpf.LDX_IP, 14), bpf.Op(bpf.LD_B, 23),
        bpf.Op(bpf.JEQ, 6, None, "no"), bpf.Op(bpf.LD_H_X, 14), bpf.Op(bpf.JEQ, 80, None, "no"), bpf.Op(bpf.RET, 2),
        "no", bpf.Op(bpf.RET),
    ])  # fmt: skip
    made = bpf.without_link_header(written, 14, 0x800)
    header = bytes([0x46, *bytes(8), 6, *bytes(14)])  # six words long
    assert through(made, header + b"\0\x50") == header[:2]
    assert through(made, header + b"\0\x51") is None
    assert through(made, bytes([0x46, *bytes(8), 17, *bytes(14)]) + b"\0\x50") is None
    assert through(written, bytes(12) + b"\x08\0" + header + b"\0\x50") == bytes(2)


def test_a_filter_on_the_link_header_cannot_do_without_one() -> None:
    with pytest.raises(ValueError, match="byte 5"):
        bpf.without_link_header(bpf.assemble([bpf.Op(bpf.LD_B, 5), bpf.Op(bpf.RET)]), 14, 0x800)


def test_a_tag_is_asked_for() -> None:
    keep = bpf.assemble([bpf.Op(bpf.RET, 9)])
    assert through(bpf.of_vlan(keep, 5), b"untagged") is None
    assert through(bpf.of_vlan(keep, 0), b"untagged") == b"untagged"
