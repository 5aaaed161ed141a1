"""What the responder says behind the handshake, against what scapy reads of it: a client of a few lines."""

from __future__ import annotations

from typing import Any

import pytest
from scapy.layers.inet import IP, TCP
from scapy.packet import Packet, Raw

from stages.simnet.responder_queue import waiting
from stages.simnet.responder_spec import Reaction, Says
from tests.simnet.answered import TARGET, Net, ip, right, syn

PORT, OURS = 40_000, 1001
REQUEST = b"GET / HTTP/1.0\r\n\r\n"
FLIGHT = bytes(range(256)) * 10
AGAIN_NS = 250_000_000


class Client:
    """Half of a connection to one target: what it sends next is asked of it by the test."""

    def __init__(self, says: str, reaction: Reaction = Reaction.SYNACK, **more: Any) -> None:
        self.net = Net(reaction, stride=2048, flights=(FLIGHT,), says={says: 1.0}, **more)
        self.opening = self.net.ask(syn())[-1]
        self.theirs = self.opening[TCP].seq + 1
        self.banner = self.net.truth.banner(0x0A010203, 80)[1]

    def say(self, data: bytes = b"", flags: str = "A", ack: int = 0, seq: int = 0, **more: Any) -> list[Packet]:
        """`ack` and `seq` count from the first byte of either side."""
        now = more.pop("now", 0)
        tcp = TCP(sport=PORT, dport=80, seq=OURS + seq, ack=(self.theirs + ack) % 2**32, flags=flags, **more)
        answers = self.net.ask(ip() / tcp / data, now=now)
        for answer in answers:
            assert right(answer)
            assert (answer[IP].src, answer[TCP].sport, answer[TCP].dport) == (TARGET, 80, PORT)
        return answers

    def read(self, answers: list[Packet]) -> bytes:
        """Their payloads put together by their numbers."""
        text = bytearray()
        for answer in answers:
            at, data = (answer[TCP].seq - self.theirs) % 2**32, payload(answer)
            text.extend(bytes(max(at + len(data) - len(text), 0)))
            text[at : at + len(data)] = data
        return bytes(text)


def payload(answer: Packet) -> bytes:
    return bytes(answer[Raw]) if Raw in answer else b""


def flags(answers: list[Packet]) -> list[str]:
    return [str(answer[TCP].flags) for answer in answers]


@pytest.mark.parametrize("segment", [64, 200, 1440])
@pytest.mark.parametrize("says", ["http", "close"])
def test_a_request_has_its_response(says: str, segment: int) -> None:
    client = Client(says, segment=segment, body=max(segment - 64, 0))
    assert client.say() == []
    answers = client.say(REQUEST)
    assert client.read(answers) == client.banner
    assert len(answers) == -(-len(client.banner) // segment)
    assert {answer[TCP].ack for answer in answers} == {OURS + len(REQUEST)}
    assert flags(answers)[-1] == ("FPA" if says == "close" else "PA")
    assert set(flags(answers)[:-1]) <= {"A"}
    assert all(len(payload(answer)) <= segment for answer in answers)


def test_the_same_request_again_has_the_same_answer() -> None:
    client = Client("http")
    assert [bytes(a) for a in client.say(REQUEST)] == [bytes(a) for a in client.say(REQUEST)]


def test_a_number_that_wraps() -> None:
    """For some address the answer passes 2^32."""
    client = Client("http", body=4000)
    answers = client.say(REQUEST)
    assert client.read(answers) == client.banner
    assert len(client.banner) > 4000


def test_http_stays_open_until_we_close() -> None:
    client = Client("http")
    size = len(client.banner)
    client.say(REQUEST)
    assert client.say(ack=size, seq=len(REQUEST)) == []
    (end,) = client.say(flags="FA", ack=size, seq=len(REQUEST))
    assert (flags([end]), end[TCP].seq, end[TCP].ack) == (["FA"], client.theirs + size, OURS + len(REQUEST) + 1)
    assert client.say(ack=size + 1, seq=len(REQUEST) + 1) == []


def test_close_ends_with_an_acknowledgement() -> None:
    client = Client("close")
    size = len(client.banner)
    client.say(REQUEST)
    assert client.say(ack=size + 1, seq=len(REQUEST)) == []
    (end,) = client.say(flags="FA", ack=size + 1, seq=len(REQUEST))
    assert (flags([end]), end[TCP].seq, end[TCP].ack) == (["A"], client.theirs + size + 1, OURS + len(REQUEST) + 1)


def test_a_request_with_our_fin() -> None:
    client = Client("http")
    (answer,) = client.say(REQUEST, flags="FPA")
    assert flags([answer]) == ["FPA"]
    assert (payload(answer), answer[TCP].ack) == (client.banner, OURS + len(REQUEST) + 1)


def test_a_greeting_comes_by_itself() -> None:
    client = Client("greeting")
    (hello,) = client.say()
    assert (flags([hello]), payload(hello)) == (["PA"], client.banner)
    (taken,) = client.say(b"QUIT\r\n", ack=len(client.banner))
    assert (flags([taken]), taken[TCP].seq) == (["A"], client.theirs + len(client.banner))
    assert taken[TCP].ack == OURS + 6
    (end,) = client.say(flags="FA", ack=len(client.banner), seq=6)
    assert flags([end]) == ["FA"]
    early = Client("greeting")
    (both,) = early.say(b"EHLO me\r\n")
    assert (payload(both), both[TCP].ack) == (early.banner, OURS + 9)


def test_a_flight_of_tls() -> None:
    client = Client("tls", segment=1000)
    answers = client.say(b"\x16\x03\x01")
    assert client.read(answers) == client.banner == FLIGHT
    assert len(answers) == 3
    (taken,) = client.say(b"key exchange", ack=len(FLIGHT), seq=3)
    assert (payload(taken), taken[TCP].ack) == (b"", OURS + 15)


def test_mute_and_deaf() -> None:
    mute = Client("mute")
    (taken,) = mute.say(REQUEST)
    assert (flags([taken]), payload(taken), taken[TCP].ack) == (["A"], b"", OURS + len(REQUEST))
    assert taken[TCP].seq == mute.theirs
    (end,) = mute.say(flags="FA", seq=len(REQUEST))
    assert flags([end]) == ["FA"]
    deaf = Client("deaf")
    assert deaf.say() == deaf.say(REQUEST) == deaf.say(flags="FA", seq=len(REQUEST)) == []
    trap = Client("http", Reaction.TARPIT)
    assert trap.say(REQUEST) == []


def test_a_reset_in_the_middle() -> None:
    client = Client("reset", body=600, segment=300)
    answers = client.say(REQUEST)
    assert flags(answers) == ["A", "PA", "RA"]
    assert client.read(answers[:-1]) == client.banner
    assert answers[-1][TCP].seq == client.theirs + len(client.banner)
    (whole,) = {client.net.truth.banner(0x0A010203, 80)[0]}
    assert whole is Says.RESET
    assert client.say(ack=len(client.banner), seq=len(REQUEST)) == []
    (again,) = client.say(b"more", ack=len(client.banner), seq=len(REQUEST))
    assert (str(again[TCP].flags), again[TCP].seq) == ("RA", client.theirs + len(client.banner))


def test_a_window_is_never_overrun() -> None:
    client = Client("close", body=700, segment=300)
    client.theirs -= 6 << 28  # no scale was agreed
    answers = client.say(REQUEST, window=450)
    assert client.read(answers) == client.banner[:450]
    assert "F" not in "".join(flags(answers))
    (shut,) = client.say(REQUEST, window=0)
    assert (payload(shut), flags([shut])) == (b"", ["A"])


@pytest.mark.parametrize(("offered", "shift"), [(0, 0), (3, 3), (14, 14), (200, 14), (None, 0)])
def test_the_scale_that_was_agreed_is_remembered_without_memory(offered: int | None, shift: int) -> None:
    client = Client("close", body=700, segment=300)
    options: list[object] = [] if offered is None else [("WScale", offered)]
    (opening,) = client.net.ask(syn(options=options))
    client.theirs = opening[TCP].seq + 1
    for window in (1, 5, 200):
        assert client.read(client.say(REQUEST, window=window)) == client.banner[: window << shift]


def test_timestamps_come_back_and_only_then() -> None:
    client = Client("http")
    (plain,) = client.say(REQUEST)
    assert plain[TCP].options == []
    (stamped,) = client.say(REQUEST, options=[("NOP", None), ("NOP", None), ("Timestamp", (77, 5))])
    assert dict(stamped[TCP].options)["Timestamp"][1] == 77
    assert dict(stamped[TCP].options)["Timestamp"][0] == dict(client.opening[TCP].options)["Timestamp"][0]
    assert payload(stamped) == client.banner


def test_what_acknowledges_more_than_was_sent_is_counted() -> None:
    client = Client("http")
    assert client.say(REQUEST, ack=len(client.banner) + 2) == []
    assert client.say(REQUEST, ack=-1) == []
    assert client.net.counters["astray"] == 2
    assert client.say(REQUEST, flags="") == client.say(REQUEST, flags="SA") == []
    assert client.say(REQUEST, dataofs=4) == client.say(dataofs=15) == []


def test_a_request_that_was_lost_is_repeated_and_heard() -> None:
    client = Client("http")
    client.net.rules = Net(stride=2048, says={"http": 1.0}, loss=0.5).rules
    heard = [bool(client.say(REQUEST)) for _ in range(200)]
    assert 60 < sum(heard) < 140
    assert client.net.counters["lost"] == 200 - sum(heard)


def test_the_end_of_a_handshake_that_was_lost_brings_the_synack_again() -> None:
    client = Client("greeting")
    lossy = Net(stride=2048, says={"greeting": 1.0}, loss=1.0)
    client.net.rules = lossy.rules
    assert client.say(options=[("Timestamp", (9, 9))], now=1000) == []
    assert waiting(client.net.queue) == 1
    assert client.net.later(AGAIN_NS) == []
    (again,) = client.net.later(1000 + AGAIN_NS)
    assert right(again)
    assert (str(again[TCP].flags), again[TCP].seq, again[TCP].ack) == ("SA", client.theirs - 1, OURS)
    assert client.say(REQUEST) == []
    assert waiting(client.net.queue) == 0


def test_answers_that_are_lost_come_again() -> None:
    client = Client("close", body=600, segment=300)
    lossy = Net(stride=2048, says={"close": 1.0}, body=600, segment=300, back=0.5)
    client.net.rules = lossy.rules
    told = []
    for n in range(40):
        now = n * 10**9
        first = client.say(REQUEST, now=now)
        later = client.net.later(now + AGAIN_NS)
        assert client.read([*first, *later]) == client.banner
        told.append(len(first))
    assert set(told) == {0, 1, 2, 3}
    assert client.net.counters["lost_back"] == 120 - sum(told)


def test_a_synack_that_is_lost_comes_again() -> None:
    net = Net(says={"http": 1.0}, back=0.5)
    probes = [syn(sport=port) for port in range(40_000, 40_008)]
    first = net.ask(*probes)
    later = net.later(AGAIN_NS)
    assert {a[TCP].dport for a in [*first, *later]} == {probe[TCP].sport for probe in probes}
    assert 0 < len(first) < 8


def test_an_acknowledgement_that_is_lost_stays_lost() -> None:
    client = Client("mute")
    client.net.rules = Net(stride=2048, says={"mute": 1.0}, back=1.0).rules
    assert client.say(REQUEST) == client.net.later(10**12) == []
