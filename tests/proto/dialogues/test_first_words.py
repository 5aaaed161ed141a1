"""The first words are what their protocols say: other readers read them."""

from __future__ import annotations

import struct

import pytest
from scapy.contrib.mqtt import MQTT as ScapyMqtt
from scapy.contrib.mqtt import MQTTConnect
from scapy.layers.ldap import LDAP as ScapyLdap
from scapy.layers.netbios import NBTSession
from scapy.layers.smb import SMBNegotiate_Request

from stages.proto import dns
from stages.proto.dialogues import http
from stages.proto.dialogues.first_words import (
    BY_PORT,
    DNS,
    LDAP,
    MONGODB,
    MQTT,
    MSSQL,
    RDP,
    SMB,
    TABLE,
    TLS,
    first_word,
)
from stages.proto.recognise.registry import SERVICES
from tests.proto.dialogues.peers import Target, target


def test_a_port_is_in_the_table_once() -> None:
    assert sum(len(word.ports) for word in TABLE) == len(BY_PORT)
    assert {word.name for word in TABLE} <= SERVICES | {"none"}


@pytest.mark.parametrize(
    ("port", "name", "start"),
    [
        (22, "none", b""),
        (3306, "none", b""),
        (5901, "none", b""),
        (443, TLS, b""),
        (6379, "redis", b"PING\r\n"),
        (5432, "postgres", b"\0\0\0\x08\x04\xd2\x16\x2f"),
        (5672, "amqp", b"AMQP\0\0\x09\1"),
        (11211, "memcached", b"version\r\n"),
        (1080, "socks5", b"\5\1\0"),
        (554, "rtsp", b"OPTIONS * RTSP/1.0\r\n"),
        (5060, "sip", b"OPTIONS sip:192.0.2.1 SIP/2.0\r\n"),
        (5222, "xmpp", b"<?xml"),
        (80, "http", b"GET / HTTP/1.1\r\nHost: 192.0.2.1\r\n"),
        (4711, "http", b"GET / HTTP/1.1\r\nHost: 192.0.2.1:4711\r\n"),
    ],
)
def test_the_word_of_a_port(port: int, name: str, start: bytes) -> None:
    word = first_word(port)
    assert word.name == name
    assert word.say(target(port)).startswith(start)
    assert bool(word.say(target(port))) is bool(start)


def test_names_of_any_sort_can_be_said() -> None:
    odd = Target("192.0.2.1", 5060, "größer.example")
    for port in BY_PORT:
        assert isinstance(first_word(port).say(odd), bytes)
    assert b"gr??er.example" in http.request(odd)


def test_dns() -> None:
    assert int.from_bytes(DNS[:2], "big") == len(DNS) - 2
    read = dns.read(DNS[2:])
    assert (read["dns_parse_err"], read["dns_unconsumed_bytes"], read["dns_questions"][0]["name"]) == (
        0, 0, "version.bind",
    )  # fmt: skip


def test_ldap() -> None:
    request = ScapyLdap(LDAP).protocolOp
    assert [bytes(one.type.val) for one in request.attributes] == [b"namingContexts"]
    assert bytes(request.filter.filter.present.val) == b"objectClass"
    assert (request.scope.val, bytes(request.baseObject.val)) == (0, b"")
    assert bytes(ScapyLdap(LDAP)) == LDAP


def test_mqtt() -> None:
    packet = ScapyMqtt(MQTT)
    connect = packet[MQTTConnect]
    assert (packet.len, connect.protoname, connect.protolevel, connect.klive) == (12, b"MQTT", 4, 60)
    assert MQTT.endswith(b"\0\0"), "no client id"


def test_smb() -> None:
    packet = NBTSession(SMB)
    assert len(SMB) - 4 == packet.LENGTH
    dialects = packet[SMBNegotiate_Request].Dialects
    assert [one.DialectString for one in dialects] == [b"NT LM 0.12", b"SMB 2.002", b"SMB 2.???"]


def test_lengths_of_the_others() -> None:
    assert struct.unpack_from("<i", MONGODB)[0] == len(MONGODB)
    document = MONGODB[16 + 4 + len(b"admin.$cmd\0") + 8 :]
    assert struct.unpack_from("<i", document)[0] == len(document)
    assert int.from_bytes(RDP[2:4], "big") == len(RDP)
    assert RDP[4] == len(RDP) - 5
    assert int.from_bytes(MSSQL[2:4], "big") == len(MSSQL)
