from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.dns import DNS, DNSQR, DNSRR, DNSRRMX, DNSRRSOA

from stages.proto import dns
from stages.proto.dns import Question, parse_questions

HEADER = (
    "dns_id", "dns_qr", "dns_opcode", "dns_aa", "dns_tc", "dns_rd", "dns_ra", "dns_z", "dns_ad", "dns_cd", "dns_rcode",
)  # fmt: skip


def test_questions() -> None:
    assert parse_questions("A,example.com") == (Question("example.com", 1),)
    assert parse_questions("TXT:nr,a.example;AAAA,b.example.") == (
        Question("a.example", 16, recursive=False), Question("b.example.", 28),
    )  # fmt: skip
    seen = DNS(b"\0\0" + Question("a.example", 255, recursive=False).body())
    assert (seen.rd, seen.qd[0].qname, seen.qd[0].qtype, seen.qd[0].qclass) == (0, b"a.example.", 255, 1)
    assert Question(".", 2).section() == b"\0\0\x02\0\x01"
    assert b"\x0exn--zrich-kva" not in Question("a").section()
    assert b"xn--zrich-kva" in Question("zürich.example").section()


@pytest.mark.parametrize(("text", "problem"), [
    ("", "TYPE,NAME, not ''"),
    ("A", "TYPE,NAME, not 'A'"),
    ("A,a;", "TYPE,NAME, not ''"),
    ("B,a", "no DNS type 'B'; there are A, NS"),
    ("A:rd,a", ":nr, not 'rd'"),
    ("A,", "without a name"),
    ("A,a..b", "'a..b' is no DNS name"),
    ("A," + "x" * 64, "1 to 63"),
    ("A," + ".".join(["x" * 60] * 5), "longer than 255"),
])  # fmt: skip
def test_what_is_no_question_is_named(text: str, problem: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_questions(text)
    assert problem in str(caught.value)


def test_a_whole_answer() -> None:
    message = DNS(
        id=0x1234, qr=1, aa=1, tc=0, rd=1, ra=1, z=0, ad=1, cd=0, rcode=3, qd=DNSQR(qname="www.example.", qtype="A"),
        an=[
            DNSRR(rrname="www.example.", type="CNAME", ttl=60, rdata="web.example."),
            DNSRR(rrname="web.example.", type="A", ttl=5, rdata="192.0.2.7"),
            DNSRR(rrname="web.example.", type="AAAA", ttl=5, rdata="2001:db8::7"),
            DNSRR(rrname="web.example.", type="TXT", ttl=5, rdata=["v=1", "rest"]),
            DNSRRMX(rrname="web.example.", preference=10, exchange="mx.example."),
        ],
        ns=[DNSRRSOA(rrname="example.", mname="ns.example.", rname="me.example.", serial=1, refresh=2, retry=3,
                     expire=4, minimum=5)],
        ar=[DNSRR(rrname="ns.example.", type=99, ttl=1, rdata=b"\x01\x02")],
    )  # fmt: skip
    said = dns.read(bytes(message))
    assert [said[name] for name in HEADER] == [0x1234, 1, 0, 1, 0, 1, 1, 0, 1, 0, 3]
    assert (said["dns_parse_err"], said["dns_unconsumed_bytes"]) == (0, 0)
    assert said["dns_questions"] == [{"name": "www.example", "qtype": 1, "qtype_str": "A", "qclass": 1}]
    assert said["dns_answers"][0] == {
        "name": "www.example", "type": 5, "type_str": "CNAME", "class": 1, "ttl": 60, "rdlength": 13,
        "rdata_is_parsed": 1, "rdata": "web.example",
    }  # fmt: skip
    assert [answer["rdata"] for answer in said["dns_answers"][1:]] == [
        "192.0.2.7", "2001:db8::7", "v=1rest", "10 mx.example",
    ]  # fmt: skip
    assert said["dns_authorities"][0]["rdata"] == "ns.example me.example 1 2 3 4 5"
    last = said["dns_additionals"][0]
    assert (last["type_str"], last["rdata_is_parsed"], last["rdata"]) == ("BAD QTYPE", 0, "0102")


def header(**counts: int) -> bytes:
    return struct.pack("!6H", 1, 0x8000, *(counts.get(name, 0) for name in ("qd", "an", "ns", "ar")))


@pytest.mark.parametrize("data", [
    b"", b"\0" * 11,
    header(qd=1),  # no question
    header(qd=1) + b"\x03abc",  # a name without an end
    header(qd=1) + b"\xc0\x0c\0\1\0\1",  # a pointer to itself
    header(qd=1) + b"\xc0\x10\0\1\0\1\0",  # a pointer forwards
    header(qd=1) + b"\x40a\0\0\1\0\1",  # a reserved kind of label
    header(qd=1) + (b"\x3f" + b"x" * 63) * 5 + b"\0\0\1\0\1",  # a name longer than names are
    header(an=1) + b"\0\0\1\0\1\0\0\0\0\0\x09abc",  # data longer than the message
    header(an=65535) + b"\0\0\1\0\1\0\0\0\0\0\0" * 10,  # fewer records than said
    header() + b"more",
])  # fmt: skip
def test_malformed_messages_are_marked(data: bytes) -> None:
    said = dns.read(data)
    assert said["dns_parse_err"] == 1
    assert set(said) == set(dns.read(header()))


@pytest.mark.parametrize(("kind", "data"), [
    (1, b"123"), (28, b"1" * 15), (5, b"\x03ab"), (15, b"\0\1"), (16, b"\x05ab"), (16, b""), (6, b"\0\0short"),
    (46, b"x"),
])  # fmt: skip
def test_data_of_a_record_that_is_not_understood_is_hex(kind: int, data: bytes) -> None:
    said = dns.read(header(an=1) + b"\0" + struct.pack("!HHIH", kind, 1, 0, len(data)) + data)
    assert (said["dns_parse_err"], said["dns_answers"][0]["rdata"]) == (0, data.hex())
    assert said["dns_answers"][0]["rdata_is_parsed"] == 0


def test_bytes_in_labels_are_escaped() -> None:
    said = dns.read(header(qd=1) + b"\x05a.\\\x00z\0\0\1\0\1")
    assert said["dns_questions"][0]["name"] == "a\\046\\092\\000z"


@given(st.binary(max_size=120), st.integers(0, 3), st.integers(0, 3))
def test_any_bytes(body: bytes, questions: int, records: int) -> None:
    said = dns.read(header(qd=questions, an=records) + body)
    assert 0 <= said["dns_unconsumed_bytes"] <= len(body) + 12
    if not said["dns_parse_err"]:
        assert (len(said["dns_questions"]), len(said["dns_answers"])) == (questions, records)
