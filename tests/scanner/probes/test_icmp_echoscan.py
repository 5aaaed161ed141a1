from __future__ import annotations

import socket
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP
from scapy.packet import Packet, Raw

from stages.scanner import answers, probes
from stages.scanner.probes import icmp_echoscan
from stages.scanner.validation import Tag
from tests.servers.answering import OURS, SECRET, Reader
from tests.servers.wire import ether

TARGET, ROUTER = 0x0A010203, 0x0AFFFFFE
TAG = Tag.of(SECRET, OURS, TARGET, 0)

reader = Reader("icmp_echoscan")
three = Reader("icmp_echoscan", each=3)


def text(address: int) -> str:
    return socket.inet_ntoa(address.to_bytes(4, "big"))


def ip(source: int = TARGET, **more: object) -> IP:
    return IP(src=text(source), dst=text(OURS), **more)


def reply(**more: object) -> ICMP:
    return ICMP(**{"type": 0, "id": TAG.echo_id, "seq": TAG.echo_sequence(), **more})


def probe(**more: object) -> bytes:
    return bytes(IP(src=text(OURS), dst=text(TARGET)) / reply(**{"type": 8, **more}) / Raw(bytes(20)))


@pytest.mark.parametrize("payload", [b"", bytes(20), b"odd"])
def test_a_reply(payload: bytes) -> None:
    row = reader.read(ether() / ip(ttl=60, id=9) / reply() / Raw(payload))
    assert row is not None
    assert (row["kind"], row["address"], row["port"], row["responder"]) == (answers.ECHOREPLY, TARGET, 0, TARGET)
    assert (row["ack"], row["seq"]) == (TAG.echo_id, TAG.echo_sequence())
    assert (row["ttl"], row["ipid"], row["icmp_type"], row["wscale"]) == (60, 9, 0, -1)


def test_a_long_reply_is_cut_by_the_filter_and_still_read() -> None:
    frame = bytes(ether() / ip() / reply() / Raw(bytes(1400)))
    assert reader.passes(frame)
    assert len(reader.classify([frame], snap=192)) == 1


@pytest.mark.parametrize(("kind", "code"), [(3, 0), (3, 13), (11, 0), (4, 0), (5, 1), (12, 0)])
def test_errors(kind: int, code: int) -> None:
    row = reader.read(ether() / ip(ROUTER) / ICMP(type=kind, code=code) / Raw(probe()[:28]))
    assert row is not None
    assert (row["kind"], row["icmp_type"], row["icmp_code"]) == (answers.ICMP, kind, code)
    assert (row["address"], row["responder"]) == (TARGET, ROUTER)


@pytest.mark.parametrize("attempt", [0, 1, 2])
def test_attempts(attempt: int) -> None:
    row = three.read(ether() / ip() / reply(seq=TAG.echo_sequence(attempt)))
    assert row is not None
    assert row["attempt"] == attempt
    assert three.read(ether() / ip() / reply(seq=TAG.echo_sequence(3))) is None


NO_ANSWERS: dict[str, Packet] = {
    "another id": ether() / ip() / reply(id=TAG.echo_id ^ 1),
    "another sequence number": ether() / ip() / reply(seq=TAG.echo_sequence() ^ 0x100),
    "another host": ether() / ip(TARGET + 1) / reply(),
    "a request": ether() / ip() / reply(type=8),
    "wrong checksum": ether() / ip() / reply(chksum=1),
    "a later fragment": ether() / ip(frag=1) / reply(),
    "tcp": ether() / ip() / TCP(),
    "an error that quotes a reply": ether() / ip(ROUTER) / ICMP(type=3) / Raw(probe(type=0)),
    "an error that quotes another id": ether() / ip(ROUTER) / ICMP(type=3) / Raw(probe(id=TAG.echo_id ^ 1)),
    "an error that quotes tcp": ether() / ip(ROUTER) / ICMP(type=3) / Raw(
        bytes(IP(src=text(OURS), dst=text(TARGET)) / TCP())
    ),
}  # fmt: skip


@pytest.mark.parametrize("packet", NO_ANSWERS.values(), ids=NO_ANSWERS)
def test_what_is_no_answer_to_us(packet: Packet) -> None:
    assert reader.read(packet) is None


@settings(deadline=None)
@given(st.binary(max_size=120))
def test_random_bytes_never_crash(data: bytes) -> None:
    assert len(reader.classify([bytes(ether(type=0x0800)) + data])) == 0


def test_payloads(tmp_path: Path) -> None:
    file = tmp_path / "payload"
    file.write_bytes(b"\x00\xff")
    assert icmp_echoscan.payload_of("") == bytes(20)
    assert icmp_echoscan.payload_of("text:a:b") == b"a:b"
    assert icmp_echoscan.payload_of("hex:00ff") == b"\x00\xff"
    assert icmp_echoscan.payload_of(f"file:{file}") == b"\x00\xff"
    assert len(icmp_echoscan.payload_of("text:" + "x" * 1472)) == 1472


@pytest.mark.parametrize(("args", "problem"), [
    ("text", "text:"), ("base64:aa", "base64"), ("hex:0g", "hexadecimal"), ("text:" + "x" * 1473, "1472 fit"),
])  # fmt: skip
def test_bad_payloads(args: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        probes.get("icmp_echoscan", args)


def test_a_missing_payload_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        probes.get("icmp_echoscan", f"file:{tmp_path}/none")
