from __future__ import annotations

import pytest
from scapy.layers.dns import DNS, DNSQR, DNSRR

from stages.scanner import answers, probes
from stages.scanner.fields import fields_of
from stages.scanner.probes import dns
from tests.servers.answering import Reader
from tests.servers.answers import datagram
from tests.servers.udp_answers import Asked

ARGS = "A,www.example.com"
asked = Asked(dns.payloads_of(ARGS), 53)
reader = Reader("dns", args=ARGS, ports=(53,))
FIELDS = {field.name: field.get for field in fields_of("dns")}


def reply(**more: object) -> bytes:
    sent = DNS(asked.payload())
    return bytes(DNS(**{
        "id": sent.id, "qr": 1, "rd": 1, "ra": 1, "qd": DNSQR(qname="www.example.com"),
        "an": DNSRR(rrname="www.example.com", rdata="192.0.2.1", ttl=300), **more,
    }))  # fmt: skip


def test_the_question() -> None:
    seen = DNS(asked.payload())
    assert (seen.qr, seen.rd, seen.qdcount, seen.qd[0].qname, seen.qd[0].qtype) == (0, 1, 1, b"www.example.com.", 1)
    assert dns.payloads_of("").constant is None


def test_an_answer_is_bound_by_its_id() -> None:
    row = reader.read(asked.answer(reply()))
    assert row is not None
    assert (row["kind"], row["bound"], row["bits"]) == (answers.UDP, answers.BY_PORT | answers.BY_COOKIE, 9 + 16)
    assert reader.read(asked.answer(reply(id=DNS(asked.payload()).id ^ 1))) is None


def test_another_question_is_no_success() -> None:
    row = reader.read(asked.answer(reply(qd=DNSQR(qname="evil.example.com"))))
    assert row is not None
    assert row["kind"] == answers.UDP_OTHER
    row = reader.read(asked.answer(DNS(id=DNS(asked.payload()).id, qr=1, rcode=1, qd=[]).build()))
    assert row is not None
    assert row["kind"] == answers.UDP_OTHER


def test_the_fields() -> None:
    answer = datagram(reply(), port=53)
    assert (FIELDS["classification"](answer), FIELDS["success"](answer), FIELDS["app_success"](answer)) == (
        "dns",
        True,
        True,
    )
    assert (FIELDS["dns_rcode"](answer), FIELDS["dns_ancount"](answer), FIELDS["dns_parse_err"](answer)) == (0, 1, 0)
    assert FIELDS["dns_answers"](answer) == [{
        "name": "www.example.com", "type": 1, "type_str": "A", "class": 1, "ttl": 300, "rdlength": 4,
        "rdata_is_parsed": 1, "rdata": "192.0.2.1",
    }]  # fmt: skip
    assert FIELDS["udp_len"](answer) == len(reply()) + 8
    assert FIELDS["raw_data"](answer) == reply().hex()
    assert FIELDS["app_success"](datagram(reply(rcode=3))) is False
    assert FIELDS["app_success"](datagram(reply(qr=0))) is False


def test_bad_questions() -> None:
    with pytest.raises(ValueError, match="no DNS type 'NOPE'"):
        probes.get("dns", "NOPE,example.com")
