from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.l2 import ARP, Dot1Q, Ether

from stages.net import headers
from stages.net.jit import kernel
from tests.servers.wire import ether

OURS, THEIRS = bytes.fromhex("020000000001"), bytes.fromhex("020000000002")


@kernel
def loads(data: Any, offset: Any) -> Any:
    return headers.load16(data, offset), headers.load32(data, offset)


def test_arp_request_is_what_scapy_makes() -> None:
    frame = headers.arp_request(OURS, bytes([192, 0, 2, 2]), bytes([192, 0, 2, 1]))
    seen = Ether(frame)
    assert (seen.dst, seen.src, seen.type) == ("ff:ff:ff:ff:ff:ff", OURS.hex(":"), 0x0806)
    arp = seen[ARP]
    assert (arp.op, arp.hwsrc, arp.psrc, arp.pdst) == (1, OURS.hex(":"), "192.0.2.2", "192.0.2.1")
    assert len(frame) == 60


def test_arp_reply_is_read() -> None:
    frame = bytes(Ether(src=THEIRS, dst=OURS) / ARP(op=2, hwsrc=THEIRS.hex(":"), psrc="192.0.2.1"))
    assert headers.arp_reply(frame) == (bytes([192, 0, 2, 1]), THEIRS)
    assert headers.arp_reply(frame + bytes(18)) == (bytes([192, 0, 2, 1]), THEIRS)


REPLY = bytes(Ether(src=THEIRS, dst=OURS) / ARP(op=2, hwsrc=THEIRS.hex(":"), psrc="192.0.2.1"))


@pytest.mark.parametrize("length", range(len(REPLY)))
def test_a_truncated_reply_is_none(length: int) -> None:
    assert headers.arp_reply(REPLY[:length]) is None


@pytest.mark.parametrize("frame", [
    bytes(ether() / ARP(op=1, hwsrc=THEIRS.hex(":"), psrc="192.0.2.1")),
    bytes(ether(type=0x0800)) + REPLY[14:],
    bytes(ether(type=0x0806)) + REPLY[14:16] + b"\x86\xdd" + REPLY[18:],
])  # fmt: skip
def test_what_is_no_reply_is_none(frame: bytes) -> None:
    assert headers.arp_reply(frame) is None


@settings(deadline=None)  # the first call compiles
@given(st.binary(min_size=4, max_size=12), st.data())
def test_loads_are_big_endian(data: bytes, draw: st.DataObject) -> None:
    offset = draw.draw(st.integers(0, len(data) - 4))
    half, word = loads(np.frombuffer(data, np.uint8), offset)
    assert int(half) == int.from_bytes(data[offset : offset + 2], "big")
    assert int(word) == int.from_bytes(data[offset : offset + 4], "big")


def test_a_tagged_header_and_a_tagged_question() -> None:
    ours, theirs = bytes.fromhex("020000000001"), bytes.fromhex("020000000002")
    seen = Ether(headers.vlan_header(theirs, ours, 4094))
    assert (seen.dst, seen.src, seen.type) == (theirs.hex(":"), ours.hex(":"), 0x8100)
    assert (seen[Dot1Q].vlan, seen[Dot1Q].prio, seen[Dot1Q].type) == (4094, 0, 0x0800)
    plain = headers.arp_request(ours, b"\x0a\0\0\1", b"\x0a\0\0\2")
    tagged = Ether(headers.arp_request(ours, b"\x0a\0\0\1", b"\x0a\0\0\2", 7))
    assert (tagged[Dot1Q].vlan, tagged[ARP].pdst, tagged[ARP].psrc) == (7, "10.0.0.2", "10.0.0.1")
    assert bytes(tagged[ARP])[:28] == plain[14:42]
