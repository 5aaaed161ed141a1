"""The responder's kernels, against what scapy reads of their frames."""

from __future__ import annotations

import numpy as np
import pytest
from scapy.layers.dns import DNS, DNSQR
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPerror, TCPerror, UDPerror
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from stages.simnet import responder_truth as truths
from stages.simnet.responder_frames import MAX_ANSWERS
from stages.simnet.responder_queue import ROW_BYTES, waiting
from stages.simnet.responder_spec import Reaction, Responder
from tests.servers.blocks import CSUMNOTREADY
from tests.simnet.answered import FAR, NEAR, TARGET, US, Net, ip, right, syn


def test_a_synack() -> None:
    net = Net()
    (answer,) = net.ask(syn())
    assert right(answer)
    assert (answer.src, answer.dst) == (FAR, NEAR)
    assert (answer[IP].src, answer[IP].dst, answer[IP].len) == (TARGET, US, len(answer) - 14)
    tcp = answer[TCP]
    assert (tcp.sport, tcp.dport, tcp.ack, tcp.flags) == (80, 40_000, 1001, "SA")
    options = dict(tcp.options)
    assert options["MSS"] == truths.MSS
    assert options["WScale"] == truths.WSCALE
    assert options["Timestamp"][1] == 77
    assert "SAckOK" in options
    assert tcp.window == truths.WINDOW
    assert net.counters == {"seen": 1, "syn": 1, "answers": 1}


@pytest.mark.parametrize("offered", [
    [], [("MSS", 1400)], [("MSS", 1400), ("SAckOK", b"")], [("MSS", 1400), ("Timestamp", (5, 0))],
    [("MSS", 1400), ("NOP", None), ("WScale", 2)], [("SAckOK", b""), ("Timestamp", (5, 0))],
], ids=str)  # fmt: skip
def test_only_what_was_offered_is_answered(offered: list[tuple[str, object]]) -> None:
    (answer,) = Net().ask(syn(options=offered))
    assert right(answer)
    said = {name for name, _ in answer[TCP].options} - {"NOP", "EOL"}
    assert said == {name for name, _ in offered if name != "NOP"} | {"MSS"}


def test_the_same_probe_has_the_same_answer_and_another_one_another() -> None:
    net = Net()
    one, two, three = net.ask(syn(), syn(), syn(target="10.9.9.9"))
    assert bytes(one) == bytes(two)
    assert one[TCP].seq != three[TCP].seq


@pytest.mark.parametrize(
    ("reaction", "flags", "ack", "dport", "sport", "source"),
    [
        (Reaction.BARE, "SA", 1001, 40_000, 80, TARGET),
        (Reaction.TARPIT, "SA", 1001, 40_000, 80, TARGET),
        (Reaction.RST, "RA", 1001, 40_000, 80, TARGET),
        (Reaction.RST_SEQ, "RA", 1000, 40_000, 80, TARGET),
        (Reaction.BLIND_RST, "R", 0, 40_000, 80, TARGET),
        (Reaction.WRONG_ACK, "SA", 1001 + 0x01000001, 40_000, 80, TARGET),
        (Reaction.WRONG_PORT, "SA", 1001, 40_000 ^ 0x800, 80, TARGET),
        (Reaction.STALE, "SA", 1001 + 0x01000001, 40_000 ^ 0x800, 80, TARGET),
        (Reaction.OTHER_PORT, "SA", 1001, 40_000, 81, TARGET),
        (Reaction.OTHER_ADDRESS, "SA", 1001, 40_000, 80, "10.1.2.2"),
    ],
)
def test_one_segment(reaction: Reaction, flags: str, ack: int, dport: int, sport: int, source: str) -> None:
    (answer,) = Net(reaction).ask(syn())
    assert right(answer)
    tcp = answer[TCP]
    assert (tcp.flags, tcp.ack, tcp.dport, tcp.sport, answer[IP].src) == (flags, ack, dport, sport, source)
    assert (tcp.window == 0) == (reaction is Reaction.TARPIT or "R" in flags)
    assert bool(tcp.options) == ("S" in flags and reaction is not Reaction.BARE)


@pytest.mark.parametrize("reaction", [Reaction.ICMP_8, Reaction.ICMP_28, Reaction.SHORT_ICMP, Reaction.FORGED_ICMP])
def test_an_error_of_a_router(reaction: Reaction) -> None:
    probe = Ether(bytes(syn()))
    (answer,) = Net(reaction).ask(probe)
    assert right(answer)
    assert answer[IP].src.startswith("198.19.")
    assert (answer[ICMP].type, answer[ICMP].code) in truths.ERRORS
    quote = bytes(answer[ICMP])[8:]
    size = {Reaction.ICMP_8: 8, Reaction.SHORT_ICMP: 4}.get(reaction, 28)
    assert len(quote) == 20 + size
    same = quote == bytes(probe[IP])[: 20 + size]
    assert same == (reaction is not Reaction.FORGED_ICMP)
    if not same:
        assert answer[TCPerror].seq != 1000
        assert (answer[TCPerror].sport, answer[IPerror].dst) == (40_000, TARGET)


def test_wrong_checksums() -> None:
    (bad,) = Net(Reaction.BAD_CHECKSUM).ask(syn())
    (good,) = Net(Reaction.SYNACK).ask(syn())
    (header,) = Net(Reaction.BAD_IP_CHECKSUM).ask(syn())
    assert not right(bad)
    assert bad[TCP].chksum != good[TCP].chksum
    assert bad[IP].chksum == good[IP].chksum
    assert header[IP].chksum != good[IP].chksum
    assert header[TCP].chksum == good[TCP].chksum


def test_several_answers() -> None:
    copies = Net(Reaction.DUPLICATE).ask(syn())
    assert 2 <= len(copies) <= MAX_ANSWERS
    assert len({bytes(copy) for copy in copies}) == 1
    first, second = Net(Reaction.CONFUSED).ask(syn())
    assert (first[TCP].flags, second[TCP].flags) == ("SA", "RA")
    wrong, good = Net(Reaction.FORGED_FIRST).ask(syn())
    assert (wrong[TCP].ack, good[TCP].ack) == (1001 + 0x01000001, 1001)


def test_silence_and_loss() -> None:
    for reaction in (Reaction.SILENCE, Reaction.LOST):
        assert Net(reaction).ask(syn()) == []
    lossy = Net(loss=0.5)
    probes = [syn(sport=port) for port in range(40_000, 40_200)]
    answered = {answer[TCP].dport for answer in lossy.ask(*probes)}
    truth = truths.ResponderTruth(1, Responder(("10.0.0.0/8",), {"synack": 1.0}, loss=0.5))
    ports = np.arange(40_000, 40_200, dtype=np.uint16)
    lost = truth.lost(np.full(200, 0x0A010203, np.uint32), 80, ports)
    assert answered == set(ports[~lost].tolist())
    assert lossy.counters["lost"] == 200 - len(answered) > 50


def test_delayed_answers_come_in_order_when_their_time_has_come() -> None:
    net = Net(Reaction.DELAYED)
    assert net.ask(syn(sport=1), syn(sport=2), now=1_000) == []
    assert net.ask(syn(sport=3), now=2_000) == []
    assert waiting(net.queue) == 3
    assert net.later(500_000_999) == []
    assert [answer[TCP].dport for answer in net.later(500_001_000)] == [1, 2]
    assert [answer[TCP].dport for answer in net.later(600_000_000)] == [3]
    assert waiting(net.queue) == 0
    assert net.counters == {"seen": 3, "syn": 3, "delayed": 3, "answers": 3}


def test_a_full_queue_loses_and_counts() -> None:
    net = Net(Reaction.DELAYED, capacity=4)
    net.ask(*(syn(sport=port) for port in range(1, 8)))
    assert net.counters["overflow"] == 3
    assert [answer[TCP].dport for answer in net.later(10**9)] == [1, 2, 3, 4]


def test_more_probes_than_rows() -> None:
    net = Net(Reaction.DUPLICATE, rows=8)
    answers = net.ask(*(syn(sport=port) for port in range(1, 40)))
    assert [a[TCP].dport for a in answers] == sorted(a[TCP].dport for a in answers)
    assert {a[TCP].dport for a in answers} == set(range(1, 40))


def test_udp() -> None:
    probe = ip() / UDP(sport=40_000, dport=9) / b"hello"
    (answer,) = Net().ask(probe)
    assert right(answer)
    assert (answer[UDP].sport, answer[UDP].dport, bytes(answer[UDP].payload)) == (9, 40_000, b"hello")
    (empty,) = Net(Reaction.TARPIT).ask(probe)
    assert (right(empty), empty[UDP].len) == (True, 8)
    for reaction, size in ((Reaction.RST, 13), (Reaction.RST_SEQ, 8)):
        (refused,) = Net(reaction).ask(probe)
        assert right(refused)
        assert (refused[ICMP].type, refused[ICMP].code, refused[IP].src) == (3, 3, TARGET)
        assert len(bytes(refused[ICMP])) == 8 + 20 + size
    (other,) = Net(Reaction.OTHER_PORT).ask(probe)
    assert (right(other), other[UDP].sport, other[UDP].dport) == (True, 10, 40_000)
    (whole,) = Net(Reaction.BARE).ask(probe)
    assert bytes(whole[UDP].payload) == b"hello"
    wrong, good = Net(Reaction.FORGED_FIRST).ask(probe)
    assert (wrong[UDP].dport, good[UDP].dport) == (40_000 ^ 0x800, 40_000)


def test_forged_errors_about_datagrams_quote_another_port_or_another_identification() -> None:
    probe = Ether(bytes(ip() / UDP(sport=40_000, dport=9) / b"hello"))
    probe[IP].id = 4711
    for reaction, ident, port in (
        (Reaction.ICMP_8, 4711, 40_000), (Reaction.RST, 4711, 40_000),
        (Reaction.BLIND_RST, 4711 ^ 0x0800, 40_000), (Reaction.FORGED_ICMP, 4711, 40_000 ^ 0x0800),
    ):  # fmt: skip
        del probe[IP].chksum
        (answer,) = Net(reaction).ask(bytes(probe))
        assert right(answer)
        assert (answer[IPerror].id, answer[UDPerror].sport, answer[UDPerror].dport) == (ident, port, 9)


def test_dns_and_ntp_answer_as_such() -> None:
    (dns,) = Net().ask(ip() / UDP(sport=40_000, dport=53) / DNS(id=4711, qd=DNSQR(qname="example.com")))
    assert (right(dns), dns[DNS].id, dns[DNS].qr, dns[DNS].qd[0].qname) == (True, 4711, 1, b"example.com.")
    (bare,) = Net(Reaction.BARE).ask(ip() / UDP(sport=40_000, dport=53) / DNS(id=4711, qd=DNSQR(qname="example.com")))
    assert (right(bare), bare[UDP].len, bytes(bare[UDP].payload)[:3]) == (True, 20, b"\x12\x67\x81")
    request = bytearray(48)
    request[0], request[40:48] = 0x23, b"12345678"
    (ntp,) = Net().ask(ip() / UDP(sport=40_000, dport=123) / bytes(request))
    body = bytes(ntp[UDP].payload)
    assert (right(ntp), body[0], body[24:32]) == (True, 0x24, b"12345678")


def test_icmp_echo() -> None:
    probe = ip() / ICMP(id=7, seq=9) / b"payload"
    (reply,) = Net().ask(probe)
    assert right(reply)
    assert (reply[ICMP].type, reply[ICMP].id, reply[ICMP].seq, bytes(reply[Raw])) == (0, 7, 9, b"payload")
    (ident,) = Net(Reaction.WRONG_ACK).ask(probe)
    (sequence,) = Net(Reaction.WRONG_PORT).ask(probe)
    assert (ident[ICMP].id, ident[ICMP].seq) == (7 ^ 0x800, 9)
    assert (sequence[ICMP].id, sequence[ICMP].seq) == (7, 9 ^ 0x800)
    (refused,) = Net(Reaction.RST).ask(probe)
    assert (right(refused), refused[ICMP].type, refused[ICMP].code) == (True, 3, 1)
    assert refused[IP].src.startswith("198.19.")


def test_what_is_not_answered() -> None:
    net = Net()
    wrong = bytearray(bytes(syn()))
    wrong[50] ^= 1  # the TCP checksum
    header = bytearray(bytes(syn()))
    header[24] ^= 1
    long = ip() / UDP(sport=1, dport=2) / bytes(ROW_BYTES)
    others = [ip() / ICMP(type=0), ip() / b"", bytes(wrong), bytes(header), long, Ether(src=NEAR, dst=FAR, type=0x86DD)]
    assert net.ask(*others) == []
    assert net.counters == {"seen": 5, "invalid": 5}
    after = [
        ip() / TCP(dport=80, flags="A"), ip() / TCP(dport=80, flags="R"), ip() / TCP(dport=80, flags="SA"),
        ip() / TCP(dport=80, flags="PA") / b"GET",
    ]  # fmt: skip
    assert net.ask(*after) == []
    assert net.counters == {"seen": 9, "invalid": 5, "ack": 2, "rst": 1, "data": 1}
    assert net.ask(ip() / ICMP(type=3, code=3) / bytes(28)) == []
    assert net.counters == {"seen": 10, "invalid": 5, "ack": 2, "rst": 1, "data": 1, "refusals": 1}


def test_checksums_that_the_kernel_left_open_are_not_looked_at() -> None:
    unfinished = bytearray(bytes(syn()))
    unfinished[50:52] = b"\x12\x34"
    assert len(Net().ask(bytes(unfinished), status=CSUMNOTREADY)) == 1


def test_nobody_is_there_outside_of_the_targets() -> None:
    assert Net().ask(syn(target="11.0.0.1")) == []
