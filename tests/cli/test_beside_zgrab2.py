"""`-f zgrab2` held against zgrab2 1.0 itself: the same servers on loopback, asked by both.

Every place that we print is one that zgrab2 prints, with the same value, except for:

    outcome, phase, ja3s          ours, beside `status`
    timestamp                     the time of each; ours has microseconds
    server_hello: random, session_id
                                  new for each connection
    name_constraints.critical     zcrypto says false also where the extension is critical
    status of who refuses         `connection-timeout` with zgrab2, though it has the word `connection-refused`
    server_hello: extension_identifiers
                                  below TLS 1.3 what a server answers with depends on what it was offered

The suites are pinned to one, which both offer: otherwise the server's choice depends on the client's order.
"""

from __future__ import annotations

import ipaddress
import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

from tests.cli.command import longline
from tests.require import require
from tests.servers.certificates import Identity, identity, new_key
from tests.servers.talkers import answer, hold, nobody, talker
from tests.servers.tlsserver import tlsserver
from tests.servers.zgrab2 import zgrab2
from tests.tlsgrab.test_real_servers import s_server

#: Beside `status`, where zgrab2's parsers do not look.
OURS = {"outcome", "phase", "ja3s"}

UNKNOWN_PURPOSE = x509.ObjectIdentifier("1.3.6.1.4.1.99999.2")

#: A list of one timestamp (RFC 6962 section 3.3): version, log, time, no extensions, SHA-256 and ECDSA, a signature.
SCT = (
    b"\x00"
    + bytes(range(32))
    + (1_795_244_400_123).to_bytes(8, "big")
    + b"\x00\x00\x04\x03\x00\x08\x30\x06\x02\x01\x01\x02\x01\x01"
)
SCT_LIST = (len(SCT) + 2).to_bytes(2, "big") + len(SCT).to_bytes(2, "big") + SCT
SCTS = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")

HELLO = ".result.handshake_log.server_hello"

#: Differs from connection to connection, whoever asks.
VARIES = {".timestamp", f"{HELLO}.random", f"{HELLO}.session_id"}

CONSTRAINTS = ".result.handshake_log.server_certificates.chain[0].parsed.extensions.name_constraints.critical"

SUITE_12 = ("-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES128-GCM-SHA256")
SUITE_13 = ("-tls1_3", "-ciphersuites", "TLS_AES_128_GCM_SHA256")


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """(path, value) of everything that holds nothing more."""
    if isinstance(value, dict) and value:
        for key, below in value.items():
            yield from leaves(below, f"{path}.{key}")
    elif isinstance(value, list) and value:
        for number, below in enumerate(value):
            yield from leaves(below, f"{path}[{number}]")
    else:
        yield path, value


def by_zgrab2(folder: Path, module: str, target: tuple[str, int], *options: str) -> dict[str, Any]:
    """zgrab2 wants a blocklist that is there, and lets loopback in if told so."""
    (folder / "none").touch()
    argv = [str(zgrab2()), module, "-p", str(target[1]), "-b", str(folder / "none"), "-s", "1", *options]
    ran = subprocess.run(argv, input=f"{target[0]}\n", capture_output=True, text=True, timeout=60, check=True)
    said: dict[str, Any] = json.loads(ran.stdout)
    return said


def by_us(command: str, target: tuple[str, int], *options: str | Path) -> dict[str, Any]:
    ran = longline(command, "-f", "zgrab2", *options, stdin=f"{target[0]},{target[1]}\n")
    assert ran.returncode == 0, ran.stderr
    said: dict[str, Any] = json.loads(ran.stdout)
    return said


def differences(ours: dict[str, Any], theirs: dict[str, Any], module: str) -> dict[str, tuple[Any, Any]]:
    """Path -> (ours, theirs or `missing`) of what is not the same; what surrounds the module is asserted."""
    assert ours.keys() == theirs.keys() == {"ip", "data"}
    assert ours["ip"] == theirs["ip"]
    assert ours["data"].keys() == theirs["data"].keys() == {module}
    ours_flat = dict(leaves({k: v for k, v in ours["data"][module].items() if k not in OURS}))
    theirs_flat = dict(leaves(theirs["data"][module]))
    assert len(ours_flat) > 3
    found = {
        path: (value, theirs_flat.get(path, "missing"))
        for path, value in ours_flat.items()
        if theirs_flat.get(path, "missing") != value
    }
    assert all(found[path][1] != "missing" for path in VARIES & found.keys())
    return {path: pair for path, pair in found.items() if path not in VARIES}


def everything() -> Identity:
    """A chain with one of every extension that is common."""
    now = datetime.now(UTC).replace(microsecond=0)
    issuer_key, key = ec.generate_private_key(ec.SECP384R1()), new_key("rsa")
    issuer = x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "DE"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Test, Inc. + Söhne"),
            x509.NameAttribute(NameOID.COMMON_NAME, "Test Authority"),
        ]
    )
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.SERIAL_NUMBER, "HRB 1"),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "one"),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "two"),
            x509.NameAttribute(NameOID.EMAIL_ADDRESS, "a@server.test"),
            x509.NameAttribute(NameOID.COMMON_NAME, "WWW.Server.test"),
        ]
    )

    def builder(name: x509.Name, public: Any) -> x509.CertificateBuilder:
        made = x509.CertificateBuilder().subject_name(name).issuer_name(issuer).public_key(public)
        made = made.serial_number(x509.random_serial_number())
        return made.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=90))

    usage = dict.fromkeys(
        (
            "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
            "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
        ),
        False,
    )  # fmt: skip
    authority = (
        builder(issuer, issuer_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.KeyUsage(**{**usage, "key_cert_sign": True, "crl_sign": True}), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(issuer_key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityInformationAccess(
                [
                    x509.AccessDescription(
                        AuthorityInformationAccessOID.CA_ISSUERS, x509.UniformResourceIdentifier("http://ca.test/r")
                    )
                ]
            ),
            critical=False,
        )
        .add_extension(
            x509.NameConstraints(
                permitted_subtrees=[
                    x509.DNSName("server.test"), x509.IPAddress(ipaddress.ip_network("192.0.2.0/24")),
                ],
                excluded_subtrees=[x509.DNSName("not.server.test"), x509.RFC822Name("server.test")],
            ),
            critical=True,
        )
        .sign(issuer_key, hashes.SHA256())
    )  # fmt: skip
    names = [
        x509.DNSName("WWW.Server.test"), x509.DNSName("*.server.test"), x509.DNSName("localhost"),
        x509.IPAddress(ipaddress.ip_address("192.0.2.7")), x509.IPAddress(ipaddress.ip_address("2001:db8::7")),
        x509.RFC822Name("a@server.test"), x509.UniformResourceIdentifier("https://server.test/x"),
        x509.DirectoryName(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "in a directory")])),
        x509.RegisteredID(x509.ObjectIdentifier("1.2.3.4")),
        x509.OtherName(x509.ObjectIdentifier("1.2.3.5"), b"\x05\x00"),
    ]  # fmt: skip
    leaf = (
        builder(subject, key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(**{**usage, "digital_signature": True, "key_encipherment": True}), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH, UNKNOWN_PURPOSE]),
            critical=False,
        )
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        .add_extension(
            x509.CertificatePolicies(
                [
                    x509.PolicyInformation(x509.ObjectIdentifier("2.23.140.1.2.1"), None),
                    x509.PolicyInformation(x509.ObjectIdentifier("1.3.6.1.4.1.99999.3"), ["https://cps.test/"]),
                    x509.PolicyInformation(
                        x509.ObjectIdentifier("1.3.6.1.4.1.99999.4"), [x509.UserNotice(None, "Said")]
                    ),
                ]
            ),
            critical=False,
        )
        .add_extension(
            x509.CRLDistributionPoints(
                [x509.DistributionPoint([x509.UniformResourceIdentifier("http://crl.test/a.crl")], None, None, None)]
            ),
            critical=False,
        )
        .add_extension(
            x509.AuthorityInformationAccess(
                [
                    x509.AccessDescription(
                        AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier("http://ocsp.test/")
                    ),
                    x509.AccessDescription(
                        AuthorityInformationAccessOID.CA_ISSUERS, x509.UniformResourceIdentifier("http://ca.test/a")
                    ),
                ]
            ),
            critical=False,
        )
        .add_extension(x509.UnrecognizedExtension(SCTS, b"\x04" + bytes([len(SCT_LIST)]) + SCT_LIST), critical=False)
        .add_extension(
            x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\x00"), critical=False
        )
        .sign(issuer_key, hashes.SHA256())
    )
    return Identity(key, (leaf, authority))


@pytest.mark.slow
@pytest.mark.timeout(900)  # the first time it has Go build zgrab2
def test_handshakes_and_certificates(tmp_path: Path) -> None:
    require(shutil.which("openssl"), "openssl (Debian: openssl)")
    servers = {
        "everything 1.2": (everything(), SUITE_12),
        "everything 1.3": (everything(), SUITE_13),
        "ec 1.2": (identity(middles=2), SUITE_12),
        "ec 1.3": (identity(middles=2), SUITE_13),
        "rsa, alone": (identity(kind="rsa", middles=0), SUITE_13),
        "ed25519": (identity(kind="ed25519"), SUITE_13),
    }
    with ExitStack() as stack:
        for name, (who, options) in servers.items():
            target = stack.enter_context(s_server(tmp_path, who, *options))
            theirs = by_zgrab2(tmp_path, "tls", target)
            for mode in ("certificate", "full"):
                ours = by_us("tlsgrab", target, "--mode", mode)
                log = ours["data"]["tls"]["result"]["handshake_log"]
                assert 1 + len(log["server_certificates"].get("chain", ())) == len(who.chain)
                found = differences(ours, theirs, "tls")
                if "1.2" in name:  # another client, another answer
                    found = {k: v for k, v in found.items() if not k.startswith(f"{HELLO}.extension_identifiers")}
                if name.startswith("everything"):
                    assert found.pop(CONSTRAINTS) == (True, False)
                assert not found, (name, mode)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_nginx(tmp_path: Path) -> None:
    more = "ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;"
    with tlsserver(identity(kind="rsa"), "TLSv1.2 TLSv1.3", more) as port:
        ours = by_us("tlsgrab", ("127.0.0.1", port))
        theirs = by_zgrab2(tmp_path, "tls", ("127.0.0.1", port), "--next-protos", "h2,http/1.1")
    # In TLS 1.3 ALPN's answer stands in EncryptedExtensions, from which zgrab2 does not take it.
    assert differences(ours, theirs, "tls") == {f"{HELLO}.alpn_protocol": ("http/1.1", "missing")}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_banners(tmp_path: Path) -> None:
    """Of other bytes than UTF-8 zgrab2 keeps U+FFFD for each; ours are Latin-1, so that they can be had back."""
    with (
        talker(hold(b"220 mail.test ESMTP\r\n")) as first,
        talker(answer(b"HTTP/1.0 200 OK\r\n\r\n\x00body", until=b"\n")) as second,
        talker(hold(b"\xffSMB")) as third,
    ):
        newline = tmp_path / "newline"
        newline.write_bytes(b"\n")
        for target in (first, second):
            ours = by_us("bannergrab", target, "-d", newline, "--wait", "0.5")
            theirs = by_zgrab2(tmp_path, "banner", target, "--read-timeout", "2000")
            assert differences(ours, theirs, "banner") == {}
        ours, theirs = by_us("bannergrab", third), by_zgrab2(tmp_path, "banner", third, "--read-timeout", "2000")
    assert differences(ours, theirs, "banner") == {".result.banner": ("\xffSMB", "\ufffdSMB")}


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("module", "command"), [("banner", "bannergrab"), ("tls", "tlsgrab")])
def test_nobody_listens(tmp_path: Path, module: str, command: str) -> None:
    """The words of `error` are each one's own."""
    with nobody() as target:
        ours, theirs = by_us(command, target), by_zgrab2(tmp_path, module, target)
    found = differences(ours, theirs, module)
    assert found.keys() == {".error", ".status"}
    assert found[".status"] == ("connection-refused", "connection-timeout")
