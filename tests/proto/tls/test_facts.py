"""What was seen, as fields of a record."""

from __future__ import annotations

from stages.core.records import Tls
from stages.proto.tls.client import Client
from stages.proto.tls.facts import facts_of
from stages.proto.tls.offers import MODERN
from stages.proto.tls.script import script_of
from tests.servers.tls_bytes import extension, flight, record, server_hello


def client() -> Client:
    one = Client(script_of(MODERN), b"a.test", bytes(64))
    one.opening()
    return one


def test_before_anything_came() -> None:
    facts = facts_of(client())
    assert facts == {
        "alert": None, "error": None, "version": None, "cipher_suite": None, "alpn": None, "sni": "a.test",
        "server_hello": None, "ocsp": None, "scts": None, "hello": "modern",
    }  # fmt: skip
    assert set(facts) <= set(Tls.__dataclass_fields__)


def test_names_beside_numbers() -> None:
    one = client()
    one.receive(flight([b"leaf"], 0x0301, 0x0009))
    facts = facts_of(one)
    assert (facts["version"], facts["cipher_suite"]) == ("TLSv1.0", "TLS_RSA_WITH_DES_CBC_SHA")
    assert facts["server_hello"]["cipher_suite"] == 9
    assert "group" not in facts["server_hello"], "of TLS 1.3 only"


def test_a_protocol_that_is_no_text() -> None:
    one = client()
    one.receive(record(22, server_hello(0x0303, 0x002F, extension(16, b"\0\4\3h\xff2"))))
    assert facts_of(one)["alpn"] == "h\\xff2"
