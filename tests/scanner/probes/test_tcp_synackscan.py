from __future__ import annotations

import socket

import pytest
from scapy.layers.inet import ICMP, IP, TCP
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

from stages.scanner import answers, probes
from stages.scanner.frames import FrameBuilder
from stages.scanner.permutation import Permutation
from stages.scanner.space import Space
from stages.scanner.validation import Tag
from tests.servers.answering import OURS, PORTS, SECRET, Reader
from tests.servers.wire import ether

TARGET, PORT, ROUTER = 0x0A010203, 443, 0x0AFFFFFE
TAG = Tag.of(SECRET, OURS, TARGET, PORT)
NUMBER, SPORT = TAG.sequence, TAG.source_port(PORTS)
AFTER = (NUMBER + 1) % (1 << 32)
reader = Reader("tcp_synackscan")
three = Reader("tcp_synackscan", each=3)


def text(address: int) -> str:
    return socket.inet_ntoa(address.to_bytes(4, "big"))


def answer(flags: str, source: int = TARGET, **more: object) -> Packet:
    tcp = TCP(**{"sport": PORT, "dport": SPORT, "flags": flags, "seq": 0, "ack": 0, **more})
    return ether() / IP(src=text(source), dst=text(OURS)) / tcp


@pytest.mark.parametrize(("each", "sources"), [(1, 1), (3, 2)])
def test_frames(each: int, sources: int) -> None:
    space = Space.build([(TARGET, TARGET + 31)], (80, 443))
    made = FrameBuilder(
        space, Permutation(space.size, 1), probes.get("tcp_synackscan"), SECRET, batch=32, probes=each,
        source_ips=tuple(range(OURS, OURS + sources)), source_ports=PORTS,
    )  # fmt: skip
    for row in range(made.fill(0, 32)):
        target, attempt = divmod(row, each)
        address, port = int(made.address[target]), int(made.port[target])
        source = OURS + (address + attempt) % sources
        tag = Tag.of(SECRET, source, address, port)
        seen = Ether(made.frame(row))
        assert (seen[TCP].flags, seen[TCP].seq, seen[TCP].ack) == ("SA", tag.sequence, tag.sequence)
        assert (seen[TCP].sport, seen[TCP].dport) == (tag.source_port(PORTS, attempt), port)
        again = seen.copy()
        again[IP].chksum = again[TCP].chksum = None
        assert bytes(again) == made.frame(row)


@pytest.mark.parametrize(("packet", "kind"), [
    (answer("R", seq=NUMBER), answers.KNOCK),
    (answer("R", seq=AFTER), answers.KNOCK),
    (answer("RA", ack=AFTER), answers.KNOCK),
    (answer("SA", ack=AFTER, seq=9), answers.SYNACK),
])  # fmt: skip
def test_answers(packet: Packet, kind: int) -> None:
    row = reader.read(packet)
    assert row is not None
    assert (row["kind"], row["address"], row["port"], row["bits"]) == (kind, TARGET, PORT, 39)
    assert kind in answers.SUCCESSES


@pytest.mark.parametrize("packet", [
    answer("R"),
    answer("R", ack=AFTER),  # without ACK the field means nothing
    answer("R", seq=NUMBER, sport=PORT + 1),
    answer("R", seq=NUMBER, dport=SPORT + 1),
    answer("R", seq=NUMBER, chksum=1),
    answer("R", TARGET + 1, seq=NUMBER),
    answer("RA", ack=NUMBER),
    answer("SA", ack=NUMBER),
    answer("SA", seq=NUMBER),
    answer("A", ack=AFTER),
    answer("R", seq=NUMBER, dataofs=4),
    answer("R", seq=NUMBER, dataofs=15),
])  # fmt: skip
def test_what_is_no_answer_to_us(packet: Packet) -> None:
    assert reader.read(packet) is None


@pytest.mark.parametrize("length", [28, 44])
def test_errors(length: int) -> None:
    def error(number: int) -> Packet:
        probe = IP(src=text(OURS), dst=text(TARGET)) / TCP(sport=SPORT, dport=PORT, seq=number, ack=number, flags="SA")
        quote = Raw(bytes(probe)[:length])
        return ether() / IP(src=text(ROUTER), dst=text(OURS)) / ICMP(type=11) / quote

    row = reader.read(error(NUMBER))
    assert row is not None
    assert (row["kind"], row["icmp_type"], row["address"], row["responder"]) == (answers.ICMP, 11, TARGET, ROUTER)
    assert reader.read(error(NUMBER ^ 1)) is None


def test_attempts() -> None:
    for attempt in range(3):
        row = three.read(answer("R", seq=NUMBER, dport=TAG.source_port(PORTS, attempt)))
        assert row is not None
        assert row["attempt"] == attempt


def test_no_arguments() -> None:
    with pytest.raises(ValueError, match="tcp_synackscan takes no arguments, not 'x'"):
        probes.get("tcp_synackscan", "x")
