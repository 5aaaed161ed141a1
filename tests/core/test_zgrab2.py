"""zgrab2's shape of our records: its words, its places, and bytes that survive."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from stages.core.outcome import Outcome, Phase
from stages.core.records import Banner, Tls
from stages.core.zgrab2 import banner_line, status, tls_line

T0 = 1_795_244_400_000_000


def tls(**more: Any) -> Tls:
    fields = {"scan": "s", "ts": T0, "ip": "10.0.0.1", "port": 443, "outcome": Outcome.OK, "phase": Phase.FINISH}
    return Tls(**{**fields, **more})


def banner(**more: Any) -> Banner:
    fields = {"scan": "s", "ts": T0, "ip": "10.0.0.1", "port": 22, "outcome": Outcome.OK, "phase": Phase.READ}
    return Banner(**{**fields, **more})


def certificate(der: bytes) -> dict[str, Any]:
    return {"raw": der.decode()}


def test_a_handshake() -> None:
    hello = {"random": "00ff", "session_id": "", "cipher_suite": 0xC02F, "cipher_suite_name": "X", "compression": 0}
    hello |= {"legacy_version": 0x0303, "extensions": [65281, 16]}
    record = tls(
        name="www.example.org",
        version="TLSv1.2",
        alpn="h2",
        certificates=[b"leaf", b"issuer"],
        chain=["a", "b"],
        server_hello=hello,
    )
    assert orjson.loads(tls_line(record, certificate)) == {
        "ip": "10.0.0.1",
        "domain": "www.example.org",
        "data": {
            "tls": {
                "status": "success",
                "protocol": "tls",
                "port": 443,
                "outcome": "ok",
                "phase": "finish",
                "result": {
                    "handshake_log": {
                        "server_hello": {
                            "version": {"name": "TLSv1.2", "value": 771},
                            "random": "AP8=",
                            "session_id": "",
                            "cipher_suite": {"hex": "0xC02F", "name": "X", "value": 0xC02F},
                            "compression_method": {"hex": "0x00", "name": "NULL", "value": 0},
                            "alpn_protocol": "h2",
                            "extension_identifiers": [65281, 16],
                        },
                        "server_certificates": {"certificate": {"raw": "leaf"}, "chain": [{"raw": "issuer"}]},
                    }
                },
                "timestamp": "2026-11-21T07:00:00.000000Z",
            }
        },
    }


def test_the_version_of_tls_13_stands_in_its_extension() -> None:
    record = tls(version="TLSv1.3", server_hello={"legacy_version": 0x0303, "extensions": [43, 51], "compression": 64})
    log = orjson.loads(tls_line(record, certificate))["data"]["tls"]["result"]["handshake_log"]
    assert log["server_hello"] == {
        "version": {"name": "TLSv1.2", "value": 771},
        "supported_versions": {"selected_version": {"name": "TLSv1.3", "value": 772}},
        "compression_method": {"hex": "0x40", "name": "unknown", "value": 64},
        "extension_identifiers": [43, 51],
    }


def test_fingerprints_stand_beside_what_zgrab2_has() -> None:
    said = orjson.loads(tls_line(tls(ja3s="0a" * 16), certificate))["data"]["tls"]
    assert said["ja3s"] == "0a" * 16
    assert "result" not in said
    line = "29d" * 10 + "0" * 32
    said = orjson.loads(tls_line(tls(mode="jarm", jarm=line, phase=Phase.HELLO), certificate))["data"]["jarm"]
    assert (said["status"], said["protocol"], said["result"]) == ("success", "jarm", {"fingerprint": line})
    said = orjson.loads(tls_line(tls(mode="jarm", outcome=Outcome.REFUSED, phase=Phase.CONNECT), certificate))
    assert "result" not in said["data"]["jarm"]


def test_a_failure() -> None:
    record = tls(outcome=Outcome.ALERT, phase=Phase.HELLO, alert="handshake_failure")
    said = orjson.loads(tls_line(record, certificate))["data"]["tls"]
    assert (said["status"], said["error"]) == ("handshake-error", "handshake_failure")
    assert "result" not in said
    only = tls(cipher_suite="TLS_X", certificates=[b"leaf"])
    log = orjson.loads(tls_line(only, certificate))["data"]["tls"]["result"]["handshake_log"]
    assert log == {
        "server_hello": {"cipher_suite": {"name": "TLS_X"}},
        "server_certificates": {"certificate": {"raw": "leaf"}},
    }


def test_a_banner_keeps_its_bytes() -> None:
    data = bytes(range(256))
    said = orjson.loads(banner_line(banner(data=data)))["data"]["banner"]
    assert said["result"]["banner"].encode("latin-1") == data
    assert said["result"]["length"] == 256
    empty = orjson.loads(banner_line(banner(outcome=Outcome.REFUSED, phase=Phase.CONNECT, errno="ECONNREFUSED")))
    assert empty["data"]["banner"]["status"] == "connection-refused"
    assert empty["data"]["banner"]["error"] == "ECONNREFUSED"
    assert "result" not in empty["data"]["banner"]


@pytest.mark.parametrize("outcome", list(Outcome))
def test_every_outcome_has_its_word(outcome: Outcome) -> None:
    assert status(outcome, Phase.READ) in {
        "success", "connection-refused", "connection-timeout", "connection-closed", "io-timeout", "handshake-error",
        "protocol-error", "application-error", "unknown-error", "blocklisted-target",
    }  # fmt: skip


def test_a_timeout_says_of_what() -> None:
    assert status(Outcome.TIMEOUT, Phase.CONNECT) == "connection-timeout"
    assert status(Outcome.TIMEOUT, Phase.READ) == "io-timeout"
