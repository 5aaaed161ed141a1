from __future__ import annotations

import datetime as dt
import ssl
import stat
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from stages.core.errors import HostError, UsageError
from stages.fleet import ca

NOW = dt.datetime(2026, 11, 27, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("authority")
    ca.Authority.make(place, NOW).server(ca.Identity(place), ("coordinator.example", "192.0.2.1"), NOW)
    return place


def test_keys_are_for_their_owner_only(folder: Path) -> None:
    for name in ("ca-key.pem", ca.KEY):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600


def test_openssl_takes_the_chain_and_the_name(folder: Path, tmp_path: Path) -> None:
    verify = [
        "openssl",
        "verify",
        "-attime",
        str(int(NOW.timestamp())),
        "-x509_strict",
        "-CAfile",
        folder / ca.AUTHORITY,
    ]
    names = ["-purpose", "sslserver", "-verify_hostname", "coordinator.example"]
    done = subprocess.run([*verify, *names, folder / ca.CERTIFICATE], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    _, request = ca.request("x")
    pem, _, _ = ca.Authority(folder).agent(request, "alice", NOW)
    (tmp_path / "a.pem").write_bytes(pem)
    done = subprocess.run([*verify, "-purpose", "sslclient", tmp_path / "a.pem"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    done = subprocess.run([*verify, "-purpose", "sslserver", tmp_path / "a.pem"], capture_output=True, text=True)
    assert done.returncode != 0, "an agent could play the coordinator"


def test_the_name_that_was_asked_for(folder: Path) -> None:
    assert ca.alias_asked(ca.request("bob")[1]) == "bob"
    for wrong in (b"", b"rubbish", ca.Authority(folder).pem):
        with pytest.raises(ValueError, match="signing request"):
            ca.alias_asked(wrong)


def test_a_certificate_that_has_ended_says_when(folder: Path, tmp_path: Path) -> None:
    identity = ca.Identity(tmp_path)
    pem, _, _ = ca.Authority(folder).agent(ca.request("alice")[1], "alice", NOW)
    ca.write_private(identity.certificate, pem)
    assert ca.ended(identity, NOW) == ""
    end = NOW + dt.timedelta(days=ca.CERTIFICATE_DAYS)
    assert ca.ended(identity, end) == f"{end:%Y-%m-%d}"
    with pytest.raises(UsageError, match="cannot be read"):
        ca.ended(ca.Identity(tmp_path / "none"), NOW)


def test_the_alias_is_the_tokens_and_not_what_the_request_says(folder: Path) -> None:
    key, request = ca.request("root")
    pem, serial, ends = ca.Authority(folder).agent(request, "alice", NOW)
    certificate = x509.load_pem_x509_certificate(pem)
    assert certificate.subject.rfc4514_string() == "CN=alice"
    assert ca.serial_of(certificate) == serial == ca.serial_in(certificate.public_bytes(serialization.Encoding.DER))
    assert ends == certificate.not_valid_after_utc.timestamp()
    assert certificate.public_key() == serialization.load_pem_private_key(key, None).public_key()


def test_a_server_with_these_files_starts(folder: Path) -> None:
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(folder / ca.CERTIFICATE, folder / ca.KEY)


@pytest.mark.parametrize("kind", ["nothing", "rubbish", "rsa", "another curve", "another's signature"])
def test_what_is_no_signing_request_of_ours(folder: Path, kind: str) -> None:
    name = x509.Name([])
    builder = x509.CertificateSigningRequestBuilder().subject_name(name)
    good = builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    pem = good.public_bytes(serialization.Encoding.PEM)
    if kind in ("nothing", "rubbish"):
        pem = b"" if kind == "nothing" else pem.replace(b"MI", b"AA", 1)
    elif kind == "rsa":
        pem = builder.sign(rsa.generate_private_key(65537, 2048), hashes.SHA256()).public_bytes(
            serialization.Encoding.PEM
        )
    elif kind == "another curve":
        pem = builder.sign(ec.generate_private_key(ec.SECP384R1()), hashes.SHA256()).public_bytes(
            serialization.Encoding.PEM
        )
    else:
        der = bytearray(good.public_bytes(serialization.Encoding.DER))
        der[-1] ^= 1
        pem = ssl.DER_cert_to_PEM_cert(bytes(der)).replace("CERTIFICATE", "CERTIFICATE REQUEST").encode()
    with pytest.raises(ValueError, match="not a signing request"):
        ca.Authority(folder).agent(pem, "alice", NOW)


def test_an_authority_is_made_once(folder: Path) -> None:
    with pytest.raises(UsageError, match="there is an authority"):
        ca.Authority.make(folder, NOW)


def test_no_authority_or_a_damaged_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="longline fleet init"):
        ca.Authority(tmp_path)
    (tmp_path / "ca-key.pem").write_text("x")
    (tmp_path / ca.AUTHORITY).write_text("x")
    with pytest.raises(UsageError, match="cannot be read"):
        ca.Authority(tmp_path)


def test_tokens_name_their_authority_and_are_never_the_same(folder: Path) -> None:
    authority = ca.Authority(folder)
    tokens = {ca.new_token(authority.fingerprint)[0] for _ in range(50)}
    assert len(tokens) == 50
    assert {ca.read_token(token) for token in tokens} == {authority.fingerprint}
    assert authority.fingerprint == ca.fingerprint((folder / ca.AUTHORITY).read_bytes())


@pytest.mark.parametrize("token", ["", "lll1", "ll1.AAAA." + "0" * 64, "ll2." + "A" * 32 + "." + "0" * 64, "x" * 500])
def test_what_is_no_token_is_not_shown(token: str) -> None:
    with pytest.raises(UsageError) as error:
        ca.read_token(token)
    assert not token or token not in str(error.value)


def test_an_alias_of_a_certificate(folder: Path, tmp_path: Path) -> None:
    assert ca.alias_in(ca.Identity(folder)) == "coordinator"
    with pytest.raises(UsageError, match="cannot be read"):
        ca.alias_in(ca.Identity(tmp_path))


def test_a_folder_that_is_closed(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HostError, match="cannot be written"):
        ca.write_private(tmp_path / "file" / "key", b"")


@pytest.mark.parametrize(
    ("alias", "good"),
    [("alice", True), ("a.b-c_9", True), ("", False), ("-x", False), ("a/b", False), ("a" * 64, False)],
)
def test_aliases(alias: str, good: bool) -> None:
    assert (ca.ALIAS(alias) is not None) == good
