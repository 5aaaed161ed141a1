"""What the read kernel takes for an answer, and what not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP
from scapy.layers.l2 import Dot1Q
from scapy.packet import Packet, Raw

from stages.scanner import answers
from stages.scanner.probes import dns, udp
from stages.scanner.probes.datagram_plan import Payloads
from tests.servers.answering import OURS, PORTS, Reader
from tests.servers.blocks import CSUMNOTREADY
from tests.servers.udp_answers import ROUTER, TARGET, Asked, text
from tests.servers.wire import ether

plain = Reader("udp", args="text:hello", ports=(7, 53))
three = Reader("udp", each=3, args="text:hello", ports=(7, 53))
table = Reader("udp", ports=(53, 123, 161, 5060, 69, 9))
asked = Asked(udp.payloads_of("text:hello"), 53)


def at(port: int) -> Asked:
    return Asked(udp.payloads_of("payloads"), port)


def data_of(reader: Reader, frames: list[bytes], **more: int) -> list[bytes]:
    """The bytes that the rows point to, in the block."""
    from tests.servers.blocks import block

    raw = block(frames, **more)
    return [bytes(raw[row["data_at"] : row["data_at"] + row["data_size"]]) for row in reader.classify(frames, **more)]


def test_a_datagram() -> None:
    packet = asked.answer(b"\x00answer\xff", ip={"ttl": 57, "id": 4711})
    row = plain.read(packet)
    assert row is not None
    names = set(answers.ANSWER.names or ()) - {"rtt", "position", "ts", "data_at"}
    assert {name: row[name].item() for name in names} == {
        "saddr": TARGET, "daddr": OURS, "seq": 0, "ack": 0, "ts_val": 0, "ts_ecr": 0, "responder": TARGET,
        "address": TARGET, "sport": 53, "dport": asked.tag.source_port(PORTS), "port": 53, "window": 0, "ipid": 4711,
        "mss": 0, "wscale": -1, "sack": 0, "has_ts": 0, "ttl": 57, "kind": answers.UDP, "icmp_type": 0, "icmp_code": 0,
        "attempt": 0, "repeat": 0, "cooldown": 0, "bound": answers.BY_PORT, "bits": 9, "size": 8, "data_size": 8,
    }  # fmt: skip
    assert data_of(plain, [bytes(packet)]) == [b"\x00answer\xff"]


@pytest.mark.parametrize("attempt", [0, 1, 2])
def test_the_attempt_is_told_by_its_port(attempt: int) -> None:
    row = three.read(asked.answer(b"x", attempt=attempt))
    assert row is not None
    assert row["attempt"] == attempt
    assert three.read(asked.answer(b"x", attempt=3)) is None


def test_an_answer_from_another_port_is_accepted_and_both_ports_are_kept() -> None:
    row = plain.read(asked.answer(b"x", sport=50_000))
    assert row is not None
    assert (row["port"], row["sport"], row["address"]) == (53, 50_000, TARGET)
    # A port of the scan that was not the one asked is no different.
    row = plain.read(asked.answer(b"x", sport=7))
    assert row is not None
    assert (row["port"], row["sport"]) == (53, 7)


def lucky(payloads: Payloads, port: int, other: int) -> Asked:
    """A target whose probe to `port` has the source port that one to `other`, which is not asked, would have had."""
    for address in range(TARGET, TARGET + 100_000):
        one = Asked(payloads, port, address)
        if one.tag.source_port(PORTS) == Asked(payloads, other, address).tag.source_port(PORTS):
            return one
    raise AssertionError("no such target")


def test_an_answer_from_a_port_that_was_not_asked_is_none_of_that_port() -> None:
    """By luck it fits a probe that was never sent, whose payload would have had no cookie."""
    two = Reader("udp", ports=(161, 5060))
    one = lucky(at(161).payloads, 161, 162)
    assert one.payloads.first(162).cookie is None
    good = b"\x30\x30" + one.payload()[2:60]
    row = two.read(one.answer(good, sport=162))
    assert row is not None
    assert (row["port"], row["sport"], row["bound"]) == (161, 162, answers.BY_PORT | answers.BY_COOKIE)
    assert two.read(one.answer(b"forged", sport=162)) is None
    # So without any cookie, too: it is an answer of the port that was asked.
    other = lucky(asked.payloads, 53, 54)
    row = plain.read(other.answer(b"x", sport=54))
    assert row is not None
    assert (row["port"], row["sport"]) == (53, 54)


def test_a_scan_of_very_many_ports_tries_some() -> None:
    many = Reader("udp", args="text:hello", ports=tuple(range(40, 140)))
    assert many.constants.ports.size == 16
    assert many.read(asked.answer(b"x", sport=50_000)) is not None
    other = Asked(asked.payloads, 139)
    assert many.read(other.answer(b"x")) is not None
    assert many.read(other.answer(b"x", sport=50_000)) is None


@pytest.mark.parametrize("packet", [
    asked.answer(b"x", ip={"options": b"\x01" * 40}),
    asked.answer(b"odd"),
    asked.answer(b"", chksum=0),
    asked.answer(b"no checksum", chksum=0),
    bytes(asked.answer(b"padded")) + bytes(20),
    asked.answer(b"length zero", len=0, chksum=0),
], ids=["ip options", "odd", "empty", "no checksum", "padding", "length zero"])  # fmt: skip
def test_unusual_datagrams(packet: Packet) -> None:
    row = plain.read(packet)
    assert row is not None
    assert row["kind"] == answers.UDP


def test_of_a_datagram_of_length_zero_no_data_is_taken() -> None:
    assert data_of(plain, [bytes(asked.answer(b"length zero", len=0, chksum=0))]) == [b""]


def test_vlan_tags_are_stepped_over() -> None:
    inside = asked.answer(b"tagged")
    for tags in (Dot1Q(vlan=3), Dot1Q(vlan=3) / Dot1Q(vlan=4)):
        assert data_of(plain, [bytes(ether() / tags / inside[IP])]) == [b"tagged"]


def test_a_first_fragment_is_an_answer_and_its_data_is_what_is_there() -> None:
    whole = bytes(asked.answer(b"f" * 1000)[IP])
    first = IP(whole[:20])
    first.len, first.flags, first.chksum = 20 + 8 + 400, "MF", None
    frame = bytes(ether(type=0x0800)) + bytes(first)[:20] + whole[20 : 20 + 408]
    (row,) = plain.classify([frame])
    assert (row["size"], row["data_size"]) == (1000, 400)


def test_a_long_answer_is_cut_by_the_filter_and_says_so() -> None:
    frame = bytes(asked.answer(b"j" * 4000))
    assert plain.passes(frame)
    (row,) = plain.classify([frame], snap=1518)
    assert (row["size"], row["data_size"]) == (4000, 1518 - 42)


NO_ANSWERS: dict[str, Packet | bytes] = {
    "other host": asked.answer(b"x", ip={"src": text(TARGET + 1)}),
    "other port of ours": asked.answer(b"x", dport=asked.tag.source_port(PORTS) + 1),
    "port out of range": asked.answer(b"x", dport=PORTS[1] + 1),
    "to another of our addresses": asked.answer(b"x", ip={"dst": text(OURS + 1)}),
    "wrong checksum": asked.answer(b"x", chksum=1),
    "wrong ip checksum": asked.answer(b"x", ip={"chksum": 1}),
    "longer than the packet": asked.answer(b"x", len=100, chksum=0),
    "a later fragment": asked.answer(b"x", ip={"frag": 1}),
    "tcp": ether() / IP(src=text(TARGET), dst=text(OURS)) / TCP(sport=53, dport=asked.tag.source_port(PORTS)),
    "half a header": bytes(ether() / IP(src=text(TARGET), dst=text(OURS), proto=17, len=24))[:34] + b"\0\x35\x9c\x40",
    "nothing": b"",
}  # fmt: skip


@pytest.mark.parametrize("packet", NO_ANSWERS.values(), ids=NO_ANSWERS)
def test_what_is_no_answer_to_us(packet: Packet | bytes) -> None:
    assert plain.read(packet) is None


def error(kind: int = 3, code: int = 3, quote: bytes | None = None, length: int = 28, **more: object) -> Packet:
    raw = asked.probe() if quote is None else quote
    return (
        ether() / IP(src=text(ROUTER), dst=text(OURS), ttl=33) / ICMP(type=kind, code=code, **more) / Raw(raw[:length])
    )


@pytest.mark.parametrize("length", [28, 33, 200])
@pytest.mark.parametrize(
    ("kind", "code"), [*((3, code) for code in range(16)), (4, 0), (5, 1), (11, 0), (11, 1), (12, 0)]
)
def test_icmp_errors(kind: int, code: int, length: int) -> None:
    row = plain.read(error(kind, code, length=length))
    assert row is not None
    assert (row["kind"], row["icmp_type"], row["icmp_code"]) == (answers.ICMP, kind, code)
    assert (row["address"], row["port"], row["sport"], row["responder"]) == (TARGET, 53, 53, ROUTER)
    assert (row["bound"], row["bits"]) == (answers.BY_PORT | answers.BY_IP_ID, 9 + 15)
    assert (row["size"], row["data_size"]) == (0, 0)


def test_a_quoted_identification_may_be_swapped() -> None:
    ident = asked.tag.value & 0xFFFF
    swapped = (ident & 0xFF) << 8 | ident >> 8
    assert plain.read(error(quote=asked.probe(ip={"id": swapped}))) is not None


NO_ERRORS: dict[str, Packet] = {
    "another identification": error(quote=asked.probe(ip={"id": (asked.tag.value + 1) & 0xFFFF})),
    "another port of ours": error(quote=asked.probe(sport=PORTS[1] + 1)),
    "a port that was not probed": error(quote=asked.probe(dport=54)),
    "7 bytes": error(length=27),
    "another source": error(quote=asked.probe(ip={"src": text(OURS + 1)})),
    "tcp": error(quote=asked.probe(ip={"proto": 6})),
    "a later fragment": error(quote=asked.probe(ip={"frag": 3})),
    "an echo": error(8, 0),
    "wrong checksum": error(chksum=1),
}


@pytest.mark.parametrize("packet", NO_ERRORS.values(), ids=NO_ERRORS)
def test_errors_that_are_not_about_our_probes(packet: Packet) -> None:
    assert plain.read(packet) is None


@pytest.mark.parametrize(("port", "make"), [
    (53, lambda sent: sent[:2] + b"\x81\x80" + bytes(8)),
    (123, lambda sent: bytes(24) + sent[40:48] + bytes(16)),
    (161, lambda sent: b"\x30\x30" + sent[2:60] + b"more"),
    (5060, lambda sent: b"SIP/2.0 200 OK\r\nCall-ID: " + sent.split(b"Call-ID: ")[1]),
])  # fmt: skip
def test_cookies(port: int, make) -> None:  # type: ignore[no-untyped-def]
    target = at(port)
    good = make(target.payload())
    row = table.read(target.answer(good))
    assert row is not None
    assert row["bound"] == answers.BY_PORT | answers.BY_COOKIE
    assert row["bits"] >= 9 + 16
    other = make(Asked(target.payloads, port, TARGET + 1).payload())
    assert table.read(target.answer(other)) is None
    assert table.read(target.answer(b"")) is None
    assert table.read(target.answer(good, sport=40_123)) is not None  # from another port, too
    for length in range(len(good)):
        cut = table.read(target.answer(good[:length]))
        first = target.payloads.first(port)
        assert first.cookie is not None
        field = first.cookie.field(first.template)
        needed = length >= (first.cookie.at or 0) + field.length if first.cookie.at is not None else None
        assert cut is None or needed in (True, None)


def test_where_the_protocol_has_no_cookie_the_port_must_do() -> None:
    row = table.read(at(69).answer(b"\x00\x05\x00\x01none", sport=60_000))
    assert row is not None
    assert (row["bound"], row["port"], row["sport"]) == (answers.BY_PORT, 69, 60_000)
    assert table.read(at(9).answer(b"")) is not None


def test_several_plans_by_attempt() -> None:
    questions = dns.payloads_of("A,a.example;AAAA,b.example")
    reader = Reader("dns", each=4, args="A,a.example;AAAA,b.example", ports=(53,))
    target = Asked(questions, 53)
    for attempt in range(4):
        sent = target.payload(attempt)
        row = reader.read(target.answer(sent[:2] + b"\x81\x80" + sent[4:], attempt=attempt))
        assert row is not None
        assert (row["attempt"], row["kind"]) == (attempt, answers.UDP)
        mixed = target.payload(attempt + 1)
        row = reader.read(target.answer(mixed[:2] + b"\x81\x80" + mixed[4:], attempt=attempt))
        assert row is not None
        assert row["kind"] == answers.UDP_OTHER  # the id is right, the question is the other one


GOOD = [bytes(asked.answer(b"payload")), bytes(error()), bytes(at(53).answer(at(53).payload()))]


@pytest.mark.parametrize("frame", GOOD)
def test_truncated_packets(frame: bytes) -> None:
    for reader in (plain, table):
        for length in range(len(frame)):
            for row in reader.classify([frame[:length]]):
                assert row["data_at"] + row["data_size"] <= 48 + 80 + length
            for row in reader.classify([frame], snap=length):
                assert row["data_size"] <= max(length - 42, 0)


@settings(deadline=None, max_examples=200)
@given(st.sampled_from(GOOD), st.data())
def test_mutated_packets_pass_only_where_nothing_bound_changed(frame: bytes, data: st.DataObject) -> None:
    where = data.draw(st.integers(0, len(frame) - 1))
    raw = bytearray(frame)
    raw[where] ^= data.draw(st.integers(1, 255))
    for row in plain.classify([bytes(raw)], status=CSUMNOTREADY):
        assert (row["address"], row["port"]) == (TARGET, 53)


def test_many_packets_in_one_block_keep_their_order() -> None:
    frames = []
    for i in range(200):
        one = Asked(asked.payloads, 53, TARGET + i)
        frames += [bytes(one.answer(b"%d" % i)), bytes(one.answer(b"x", dport=PORTS[1] + 1))]
    assert data_of(plain, frames) == [b"%d" % i for i in range(200)]
    assert np.unique(plain.classify(frames)["address"]).size == 200
