from __future__ import annotations

import numpy as np
import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether

from stages.net.jit import kernel
from stages.simnet.responder_layers import L4, network, offered, put16, put32, seal
from tests.simnet.answered import FAR, NEAR, TARGET, US, ip, right


@kernel
def build(data: object, out: object, o: object, source: object, body: object, detail: object) -> object:
    at = o + L4
    put16(out, at, np.uint64(80))
    put16(out, at + 2, np.uint64(40_000))
    put32(out, at + 4, np.uint64(0xFFFFFFFF))
    put32(out, at + 8, np.uint64(1))
    out[at + 12], out[at + 13] = 0x50, 0x10
    put16(out, at + 14, np.uint64(1000))
    put32(out, at + 16, np.uint64(0))
    last = at + 20
    for i in range(body.size):
        out[last + i] = body[i]
    last += body.size
    network(out, o, data, 14, source, 6, last, detail)
    seal(out, o, 6, last, at + 16)
    return last


@pytest.mark.parametrize("body", [b"", b"x", b"even", bytes(range(255))])
@pytest.mark.parametrize("o", [0, 512])
def test_a_frame_is_the_probe_turned_around(body: bytes, o: int) -> None:
    probe = np.frombuffer(bytes(ip() / TCP(sport=40_000, dport=80, flags="A")), np.uint8)
    out = np.full(1024, 0xEE, np.uint8)
    last = build(probe, out, o, np.uint64(0x0A010203), np.frombuffer(body, np.uint8), np.uint64(1 << 63))
    frame = Ether(out[o:last].tobytes())
    assert right(frame)
    assert (frame.src, frame.dst, frame[IP].src, frame[IP].dst) == (FAR, NEAR, TARGET, US)
    assert (frame[TCP].seq, frame[TCP].ack, bytes(frame[TCP].payload)) == (0xFFFFFFFF, 1, body)
    assert (frame[IP].flags, frame[IP].len) == ("DF", 40 + len(body))
    assert set(out[last:].tolist()) <= {0xEE}


@kernel
def options(data: object, at: object, end: object) -> object:
    return offered(data, at, end)


@pytest.mark.parametrize(
    ("text", "sack", "scale", "stamps"),
    [
        (b"", False, -1, 0), (b"\x01\x01\x04\x02", True, -1, 0), (b"\x03\x03\x07", False, 7, 0),
        (b"\x01\x01\x08\x0a12345678", False, -1, 4), (b"\x08\x09xxxxxxx", False, -1, 0),
        (b"\x00\x04\x02", False, -1, 0), (b"\x04\x01\x03\x03\x01", False, -1, 0), (b"\x04", False, -1, 0),
        (b"\x04\xff", False, -1, 0), (b"\x03\x02", False, -1, 0),
    ],
)  # fmt: skip
def test_what_options_offer(text: bytes, sack: bool, scale: int, stamps: int) -> None:
    data = np.frombuffer(b"--" + text, np.uint8)
    assert tuple(options(data, 2, len(data))) == (sack, scale, stamps)
