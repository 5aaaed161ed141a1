from __future__ import annotations

import datetime
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from stages.core.bus.base import Topics
from stages.core.bus.kafka_options import FLEET_RETENTION_MS, KafkaOptions, configs_of, parse_bootstrap
from stages.core.errors import UsageError


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        ("host", ("host:9092",)),
        ("host:1", ("host:1",)),
        ("a:1, b:2", ("a:1", "b:2")),
        ("[::1]:9093,[fe80::1]", ("[::1]:9093", "[fe80::1]:9092")),
    ],
)
def test_bootstrap(text: str, addresses: tuple[str, ...]) -> None:
    assert parse_bootstrap(text) == addresses


@pytest.mark.parametrize("text", ["", ":1", "a:", "a:b", "a:0", "a:65536", "a:-1", "a,,b", "a:१"])
def test_no_bootstrap(text: str) -> None:
    with pytest.raises(UsageError, match="HOST:PORT"):
        parse_bootstrap(text)


def test_plain() -> None:
    assert KafkaOptions(("a:1",)).security() == {"security_protocol": "PLAINTEXT"}


def test_sasl() -> None:
    options = KafkaOptions(("a:1",), security_protocol="SASL_PLAINTEXT", sasl_username="u", sasl_password="secret")
    assert options.security()["sasl_plain_password"] == "secret"
    assert "secret" not in repr(options)


def certificate(folder: Path) -> tuple[str, str]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "client")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + datetime.timedelta(days=1))
    made = builder.sign(key, hashes.SHA256())
    (folder / "c.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "k.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return str(folder / "c.pem"), str(folder / "k.pem")


def test_mutual_tls(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    options = KafkaOptions(
        ("a:1",), security_protocol="SSL", ssl_ca_file=cert, ssl_certificate_file=cert, ssl_key_file=key
    )
    context = options.security()["ssl_context"]
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert len(context.get_ca_certs()) <= 1


def test_bad_files(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("nothing")
    for file in ("x", "missing"):
        options = KafkaOptions(("a:1",), security_protocol="SASL_SSL", ssl_ca_file=str(tmp_path / file))
        with pytest.raises(UsageError, match="ssl files"):
            options.security()


def test_what_a_fleet_says_may_be_large_and_is_not_kept() -> None:
    names = Topics()
    for topic in (names.agents, names.claims, names.work):
        assert configs_of(topic)["retention.ms"] == str(FLEET_RETENTION_MS)
        assert configs_of(topic)["max.message.bytes"] == configs_of(names.dead)["max.message.bytes"]
    assert "retention.ms" not in configs_of(names.hits)
