from __future__ import annotations

import pytest
from scapy.layers.inet import ICMP, IP
from scapy.layers.l2 import Ether

from stages.scanner import answers, probes
from stages.scanner.frames import FrameBuilder
from stages.scanner.permutation import Permutation
from stages.scanner.space import Space
from tests.servers.answering import OURS, PORTS, SECRET, Reader
from tests.servers.blocks import block
from tests.servers.wire import ether

NOW = 1_700_000_000_123
SPACE = Space.build([(0x0A010203, 0x0A010222)], (0,))


@pytest.mark.parametrize("each", [1, 2])
def test_frames_carry_the_time_and_the_target(each: int) -> None:
    made = FrameBuilder(
        SPACE, Permutation(SPACE.size, 1), probes.get("icmp_echo_time"), SECRET, source_ips=(OURS,), source_ports=PORTS,
        probes=each, batch=32,
    )  # fmt: skip
    assert made.fill(0, 32, NOW) == 32 * each
    for row in range(32 * each):
        seen = Ether(made.frame(row))
        address = int(made.address[row // each])
        expected = (1_700_000_000).to_bytes(4, "big") + (123_000).to_bytes(4, "big") + address.to_bytes(4, "big")
        assert bytes(seen[ICMP].payload) == expected
        again = seen.copy()
        again[IP].chksum = again[ICMP].chksum = None
        assert bytes(again) == made.frame(row)


def test_a_reply_brings_it_back() -> None:
    made = FrameBuilder(
        SPACE, Permutation(SPACE.size, 1), probes.get("icmp_echo_time"), SECRET, source_ips=(OURS,), source_ports=PORTS
    )
    made.fill(5, 1, NOW)
    sent = Ether(made.frame(0))
    reply = ether() / IP(src=sent[IP].dst, dst=sent[IP].src) / ICMP(type=0, id=sent[ICMP].id, seq=sent[ICMP].seq)
    frame = bytes(reply / bytes(sent[ICMP].payload))
    row = Reader("icmp_echo_time").read(frame)
    assert row is not None
    assert (row["kind"], row["address"], row["size"], row["data_size"]) == (
        answers.ECHOREPLY, int(made.address[0]), 12, 12,
    )  # fmt: skip
    data = block([frame])
    assert bytes(data[row["data_at"] :][:12]) == bytes(sent[ICMP].payload)


def test_no_arguments() -> None:
    with pytest.raises(ValueError, match="icmp_echo_time takes no arguments, not 'x'"):
        probes.get("icmp_echo_time", "x")
