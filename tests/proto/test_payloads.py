"""The first datagrams are what their protocols say: scapy reads them."""

from __future__ import annotations

import pytest
from scapy.layers.dns import DNS
from scapy.layers.isakmp import ISAKMP, ISAKMP_payload_SA
from scapy.layers.l2tp import L2TP
from scapy.layers.netbios import NBNSHeader, NBNSNodeStatusRequest
from scapy.layers.ntp import NTP
from scapy.layers.radius import Radius
from scapy.layers.snmp import SNMP, SNMPget
from scapy.layers.tftp import TFTP, TFTP_RRQ

from stages.proto import payloads
from stages.proto.template import Values

VALUES = Values(0xC0000202, 0x0A000001, 40000, 5060, seed=4711, microseconds=1)


def sent(port: int) -> bytes:
    return payloads.BY_PORT[port].template.render(VALUES)


@pytest.mark.parametrize("first", payloads.TABLE, ids=lambda first: first.name)
def test_each_fits_and_names_a_cookie_that_is_there(first: payloads.First) -> None:
    raw = first.template.render(VALUES)
    assert 0 < len(raw) <= first.template.max_length <= 1472
    if first.cookie is not None:
        assert first.cookie.bits(first.template) >= 16
        field = first.cookie.field(first.template)
        assert field.length >= 2


def test_a_port_is_in_the_table_once() -> None:
    ports = [port for first in payloads.TABLE for port in first.ports]
    assert len(set(ports)) == len(ports) == len(payloads.BY_PORT)
    asked = {53, 123, 161, 137, 1900, 5060, 5683, 11211, 111, 69, 500, 5353, 443}
    assert asked <= set(ports)


def test_dns_and_mdns() -> None:
    version = DNS(sent(53))
    assert (version.qr, version.rd, version.qd[0].qname, version.qd[0].qtype, version.qd[0].qclass) == (
        0, 1, b"version.bind.", 16, 3,
    )  # fmt: skip
    services = DNS(sent(5353))
    assert (services.qd[0].qname, services.qd[0].qtype) == (b"_services._dns-sd._udp.local.", 12)
    assert sent(5353)[-2:] == b"\x80\x01"  # IN, and the answer may come by unicast
    assert bytes(version) == sent(53)


def test_ntp_and_its_cookie() -> None:
    raw = sent(123)
    seen = NTP(raw)
    assert (len(raw), seen.version, seen.mode) == (48, 4, 3)
    answer = bytes(24) + raw[40:48] + bytes(16)
    first = payloads.BY_PORT[123]
    assert first.cookie is not None
    assert first.cookie.answers(first.template, VALUES, answer)


def test_snmp() -> None:
    seen = SNMP(sent(161))
    assert (seen.version.val, seen.community.val) == (1, b"public")
    assert isinstance(seen.PDU, SNMPget)
    assert seen.PDU.varbindlist[0].oid.val == "1.3.6.1.2.1.1.1.0"
    assert seen.PDU.id.val > 0
    assert bytes(seen) == sent(161)  # every length is the shortest form: nobody encodes it otherwise


def test_netbios() -> None:
    seen = NBNSHeader(sent(137))
    assert seen.QDCOUNT == 1
    assert seen[NBNSNodeStatusRequest].QUESTION_NAME.rstrip(b"\0") == b"*"


def test_ike() -> None:
    seen = ISAKMP(sent(500))
    assert (seen.exch_type, seen.length) == (2, len(sent(500)))
    assert seen.haslayer(ISAKMP_payload_SA)
    assert sent(4500)[:4] == bytes(4)
    assert len(sent(4500)) == len(sent(500)) + 4


def test_tftp_radius_l2tp() -> None:
    assert TFTP(sent(69))[TFTP_RRQ].mode == b"octet"
    status = Radius(sent(1812))
    assert (status.code, status.len) == (12, len(sent(1812)))
    control = L2TP(sent(1701))
    assert control.len == len(sent(1701))


@pytest.mark.parametrize("port", [111, 2049])
def test_rpc(port: int) -> None:
    raw = sent(port)
    words = [int.from_bytes(raw[at : at + 4], "big") for at in range(4, 40, 4)]
    assert words[:2] == [0, 2]  # call, RPC version 2
    assert words[2] == {111: 100_000, 2049: 100_003}[port]
    assert words[4:] == [0, 0, 0, 0, 0]  # the null procedure, no credentials


def test_sip() -> None:
    lines = sent(5060).decode().split("\r\n")
    assert lines[0] == "OPTIONS sip:10.0.0.1 SIP/2.0"
    assert lines[1].startswith("Via: SIP/2.0/UDP 192.0.2.2:40000;branch=z9hG4bK")
    assert lines[-2:] == ["", ""]
    first = payloads.BY_PORT[5060]
    assert first.cookie is not None
    call = next(line for line in lines if line.startswith("Call-ID"))
    assert first.cookie.answers(first.template, VALUES, b"SIP/2.0 200 OK\r\n" + call.encode())
    assert not first.cookie.answers(first.template, VALUES, b"SIP/2.0 200 OK\r\n")


def test_coap_memcached_stun_quic() -> None:
    coap = sent(5683)
    assert (coap[0], coap[1]) == (0x48, 1)  # version 1, confirmable, a token of 8; GET
    assert coap[12:] == b"\xbb.well-known\x04core"
    assert sent(11211)[2:] == b"\x00\x00\x00\x01\x00\x00version\r\n"
    assert sent(3478)[:8] == bytes.fromhex("000100002112a442")
    quic = sent(443)
    assert len(quic) == 1200
    assert quic[0] & 0xC0 == 0xC0
    assert quic[1:5] != b"\x00\x00\x00\x01"  # a version that nobody has
    negotiation = b"\x80\0\0\0\0\x08" + quic[15:23] + b"\x08" + quic[6:14] + b"\0\0\0\x01"
    first = payloads.BY_PORT[443]
    assert first.cookie is not None
    assert first.cookie.answers(first.template, VALUES, negotiation)


def test_the_other_ports_get_nothing() -> None:
    assert payloads.OTHER.template.render(VALUES) == b""
