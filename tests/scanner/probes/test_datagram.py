from __future__ import annotations

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.packet import Packet

from stages.proto.payloads import First
from stages.proto.template import Template
from stages.scanner.probes import datagram
from stages.scanner.probes.datagram_plan import Payloads
from tests.servers.bpf import run
from tests.servers.wire import ether

CODE = datagram.packet_filter((40000, 40999))


@pytest.mark.parametrize(("packet", "kept"), [
    (IP() / UDP(dport=40000), True),
    (IP() / UDP(dport=40999), True),
    (IP(options=b"\x01" * 12) / UDP(dport=40500), True),
    (IP() / UDP(dport=39999), False),
    (IP() / UDP(dport=41000), False),
    (IP(frag=1) / UDP(dport=40500), False),
    (IP(flags="MF") / UDP(dport=40500), True),
    (IP() / TCP(dport=40500), False),
    *((IP() / ICMP(type=kind), kind in (3, 4, 5, 11, 12)) for kind in range(20)),
])  # fmt: skip
def test_the_filter(packet: Packet, kept: bool) -> None:
    frame = bytes(ether() / packet)
    assert (run(CODE, frame) > 0) == kept


def test_a_constant_payload_stands_in_the_template() -> None:
    module = datagram.build("udp", "x", ("data",), Payloads((First("x", (), Template.literal(b"hello")),), {}))
    assert module.template[42:] == b"hello"
    assert (module.lengths, module.data, module.max_length) == (False, True, 47)
    assert (module.name, module.args, module.fields) == ("udp", "x", ("data",))


def test_other_payloads_do_not() -> None:
    module = datagram.build("udp", "x", (), Payloads((First("x", (), Template.parse(b"${DADDR}")),), {}))
    assert module.template[16:18] == module.template[38:40] == b"\0\0"
    assert (module.lengths, module.max_length, len(module.template)) == (True, 42 + 15, 42)


def test_payloads_of_one_length_need_no_lengths() -> None:
    module = datagram.build("udp", "x", (), Payloads((First("x", (), Template.parse(b"${DADDR_N}abc")),), {}))
    assert (module.lengths, module.max_length, module.template[42:]) == (False, 49, bytes(7))
