from __future__ import annotations

import datetime as dt
import os
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from stages.core.expiry import Expiry, named_in, watch
from stages.core.metrics import Metrics

END = dt.datetime(2027, 3, 1, tzinfo=dt.UTC)


def certificate(end: dt.datetime) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "longline")])
    built = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(end - dt.timedelta(days=90))
        .not_valid_after(end)
        .sign(key, hashes.SHA256())
    )
    return built.public_bytes(serialization.Encoding.PEM)


def test_a_renewed_certificate_is_seen(tmp_path: Path) -> None:
    file = tmp_path / "client.pem"
    file.write_bytes(certificate(END))
    expiry = Expiry(str(file))
    assert expiry.read() == expiry.read() == END.timestamp()
    later = END + dt.timedelta(days=90)
    (tmp_path / "new.pem").write_bytes(certificate(later))
    os.utime(tmp_path / "new.pem", ns=(1, 1))
    os.replace(tmp_path / "new.pem", file)
    assert expiry.read() == later.timestamp()


def test_a_file_that_is_gone_or_none_counts_as_over(tmp_path: Path) -> None:
    file = tmp_path / "client.pem"
    expiry = Expiry(str(file))
    assert expiry.read() == 0
    file.write_bytes(b"-----BEGIN")
    assert expiry.read() == 0
    file.write_bytes(certificate(END))
    assert expiry.read() == END.timestamp()


@pytest.mark.parametrize(
    ("url", "file"),
    [
        ("mongodb://db.example/longline?tls=true&tlsCertificateKeyFile=/run/client.pem", "/run/client.pem"),
        ("mongodb+srv://db.example/?TLSCERTIFICATEKEYFILE=%2Fc.pem", "/c.pem"),
        ("mongodb://db.example/longline", None),
        ("sqlite:a?tlsCertificateKeyFile=b", None),
    ],
)  # fmt: skip
def test_which_file_a_url_names(url: str, file: str | None) -> None:
    assert named_in(url) == file


def test_it_is_a_metric_only_where_there_is_a_certificate(tmp_path: Path) -> None:
    metrics = Metrics()
    watch(metrics, "kafka", None)
    assert list(metrics) == []
    (tmp_path / "client.pem").write_bytes(certificate(END))
    watch(metrics, "kafka", str(tmp_path / "client.pem"))
    name = "longline_kafka_client_certificate_expiry_timestamp_seconds"
    assert metrics.registry.get_sample_value(name) == END.timestamp()
