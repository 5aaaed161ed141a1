"""`certificate` mode against real servers of five libraries: all versions and suites that they offer."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from stages.core.outcome import Outcome, Phase
from stages.proto.tls.suites import SUITES
from tests.require import require
from tests.servers.certificates import Identity, identity
from tests.servers.talkers import fresh_address
from tests.servers.tls_peers import gnutls, golang, jsse
from tests.servers.tlsserver import tlsserver
from tests.tlsgrab.test_real_servers import s_server, shown_by_openssl

Grab = Callable[..., Any]
Line = Callable[..., bytes]

OLD = ("-cipher", "ALL:COMPLEMENTOFALL:@SECLEVEL=0")


# -- OpenSSL -----------------------------------------------------------------------------------------------------------


async def test_openssl(tlsgrab: Grab, hit_line: Line, tmp_path: Path) -> None:
    """Every version and kind of key; the chain is what `openssl s_client -showcerts` shows."""
    require(shutil.which("openssl"), "openssl (Debian: openssl)")
    servers: dict[str, tuple[Identity, tuple[str, ...], tuple[str, ...], str]] = {
        "1.3": (identity(middles=2), (), (), "TLSv1.3"),
        "1.2": (identity(middles=2), ("-tls1_2",), (), "TLSv1.2"),
        "1.2 rsa": (identity(kind="rsa", middles=0), ("-tls1_2", "-cipher", "AES128-SHA"), (), "TLSv1.2"),
        "1.2 dhe": (identity(kind="rsa"), ("-tls1_2", "-cipher", "DHE"), (), "TLSv1.2"),
        "1.1": (identity(kind="rsa"), ("-tls1_1", *OLD), ("-tls1_1", *OLD), "TLSv1.1"),
        "1.0": (identity(), ("-tls1", *OLD), ("-tls1", *OLD), "TLSv1.0"),
        "ed25519": (identity(kind="ed25519"), (), (), "TLSv1.3"),
        "expired": (identity(ends=-10), (), (), "TLSv1.3"),
        "large": (identity(middles=4, padding=15_000), (), (), "TLSv1.3"),
        "retry": (identity(), ("-tls1_3", "-groups", "P-384"), (), "TLSv1.3"),
        "ccm": (identity(), ("-tls1_3", "-ciphersuites", "TLS_AES_128_CCM_8_SHA256"), (
            "-ciphersuites", "TLS_AES_128_CCM_8_SHA256"), "TLSv1.3"),
        "client": (identity(), ("-Verify", "1"), (), "TLSv1.3"),
        "no tickets": (identity(), ("-num_tickets", "0"), (), "TLSv1.3"),
    }  # fmt: skip
    with ExitStack() as stack:
        targets = {
            name: stack.enter_context(s_server(tmp_path, who, *options))
            for name, (who, options, _, _) in servers.items()
        }
        got = await tlsgrab([hit_line(target) for target in targets.values()], handshake_timeout=10.0)
        shown = {name: shown_by_openssl(targets[name], *client) for name, (_, _, client, _) in servers.items()}
    for name, (who, _, _, version) in servers.items():
        one = got.of(targets[name])
        assert (one.outcome, one.phase, one.version, one.connections) == (
            Outcome.OK, Phase.CERTIFICATE, version, 1,
        ), name  # fmt: skip
        assert one.certificates == who.chain == shown[name], name


async def test_every_suite_of_openssl(tlsgrab: Grab, hit_line: Line, tmp_path: Path) -> None:
    """One server for all with a certificate, asked with one suite allowed: too many processes otherwise; so a few."""
    require(shutil.which("openssl"), "openssl (Debian: openssl)")
    who = identity(kind="rsa")
    suites = {
        "NULL-MD5": "TLS_RSA_WITH_NULL_MD5", "NULL-SHA256": "TLS_RSA_WITH_NULL_SHA256",
        "ECDHE-RSA-NULL-SHA": "TLS_ECDHE_RSA_WITH_NULL_SHA", "ADH-AES128-SHA": "TLS_DH_anon_WITH_AES_128_CBC_SHA",
        "AECDH-NULL-SHA": "TLS_ECDH_anon_WITH_NULL_SHA", "DHE-RSA-CAMELLIA128-SHA":
        "TLS_DHE_RSA_WITH_CAMELLIA_128_CBC_SHA", "ARIA128-GCM-SHA256": "TLS_RSA_WITH_ARIA_128_GCM_SHA256",
        "AES256-CCM8": "TLS_RSA_WITH_AES_256_CCM_8",
    }  # fmt: skip
    with ExitStack() as stack:
        targets = {
            suite: stack.enter_context(s_server(tmp_path, who, "-tls1_2", "-cipher", f"{suite}:@SECLEVEL=0"))
            for suite in suites
        }
        got = await tlsgrab([hit_line(target) for target in targets.values()], handshake_timeout=10.0)
    for suite, name in suites.items():
        one = got.of(targets[suite])
        assert (one.outcome, one.cipher_suite) == (Outcome.OK, name), (suite, one.error, one.alert)
        assert one.certificates == ([] if "anon" in name else who.chain)


# -- nginx -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["rsa", "ec"])
async def test_nginx(tlsgrab: Grab, hit_line: Line, kind: str, tmp_path: Path) -> None:
    who = identity(kind=kind, middles=2)
    for protocols, version in (("TLSv1.2", "TLSv1.2"), ("TLSv1.2 TLSv1.3", "TLSv1.3")):
        with tlsserver(who, protocols, "ssl_verify_client optional_no_ca;") as port:
            target = (fresh_address(), port)
            got = await tlsgrab([hit_line(target, "a.test")], handshake_timeout=10.0)
        one = got.of(target, "a.test")
        assert (one.outcome, one.version, one.certificates) == (Outcome.OK, version, who.chain)
        assert one.server_hello is not None
        assert one.server_hello.get("client_certificate", False) == (version == "TLSv1.3")


# -- GnuTLS ------------------------------------------------------------------------------------------------------------

ALL = "NONE:+{version}:+CIPHER-ALL:+NULL:+ARCFOUR-128:+3DES-CBC:+MAC-ALL:+SIGN-ALL:+GROUP-ALL:+COMP-NULL"


@pytest.mark.parametrize(
    ("version", "exchange", "kind", "expected"),
    [
        ("VERS-TLS1.3", "ECDHE-ECDSA", "ec", "TLSv1.3"),
        ("VERS-TLS1.3", "ECDHE-RSA", "rsa", "TLSv1.3"),
        ("VERS-TLS1.3", "ECDHE-ECDSA", "ed25519", "TLSv1.3"),
        ("VERS-TLS1.2", "ECDHE-ECDSA", "ec", "TLSv1.2"),
        ("VERS-TLS1.2", "DHE-RSA", "rsa", "TLSv1.2"),
        ("VERS-TLS1.2", "RSA", "rsa", "TLSv1.2"),
        ("VERS-TLS1.2", "ANON-DH", "rsa", "TLSv1.2"),
        ("VERS-TLS1.2", "ANON-ECDH", "rsa", "TLSv1.2"),
        ("VERS-TLS1.1", "RSA", "rsa", "TLSv1.1"),
        ("VERS-TLS1.0", "RSA", "rsa", "TLSv1.0"),
        ("VERS-TLS1.0", "ECDHE-ECDSA", "ec", "TLSv1.0"),
    ],
)
async def test_gnutls(tlsgrab: Grab, hit_line: Line, version: str, exchange: str, kind: str, expected: str) -> None:
    who = identity(kind=kind)
    priority = f"{ALL.format(version=version)}:+{exchange}"
    if version == "VERS-TLS1.3":  # its suites are none of these
        priority = "NORMAL:-VERS-ALL:+VERS-TLS1.3"
    with gnutls(who, priority, "--alpn", "h2") as target:
        got = await tlsgrab([hit_line(target, "a.test")], handshake_timeout=10.0)
    one = got.of(target, "a.test")
    assert (one.outcome, one.version) == (Outcome.OK, expected), (one.alert, one.error)
    anonymous = exchange.startswith("ANON")
    assert one.certificates == ([] if anonymous else who.chain)
    assert one.connections == (2 if anonymous else 1)
    if not anonymous:
        assert one.alpn == "h2"


async def test_gnutls_retried_and_required(tlsgrab: Grab, hit_line: Line) -> None:
    who = identity(middles=3)
    with (
        gnutls(who, "NORMAL:-GROUP-ALL:+GROUP-SECP384R1") as retried,
        gnutls(who, "NORMAL", "--require-client-cert", "--noticket") as required,
    ):
        targets = (retried, required)
        got = await tlsgrab([hit_line(target) for target in targets], handshake_timeout=10.0)
    assert [got.of(target).certificates for target in targets] == [who.chain] * 2
    shown = [got.of(target).server_hello for target in targets]
    assert (shown[0]["group"], "retry" in shown[0]) == (24, True)
    assert shown[1]["client_certificate"] is True


# -- Go ----------------------------------------------------------------------------------------------------------------


async def test_go(tlsgrab: Grab, hit_line: Line) -> None:
    rsa, ec, ed = identity(kind="rsa"), identity(), identity(kind="ed25519")
    h2 = {"Alpn": ["h2"]}
    servers: dict[str, tuple[Identity, dict[str, Any], str]] = {
        "1.3 rsa": (rsa, {"Max": 0x0304, "Min": 0x0304, **h2}, "TLSv1.3"),
        "1.3 ec": (ec, {"Max": 0x0304, "Min": 0x0304, **h2}, "TLSv1.3"),
        "1.3 ed25519": (ed, {"Max": 0x0304, "Min": 0x0304, **h2}, "TLSv1.3"),
        "1.2 ed25519": (ed, {"Max": 0x0303, **h2}, "TLSv1.2"),
        "1.2": (ec, {"Max": 0x0303, **h2}, "TLSv1.2"),
        "1.1": (rsa, {"Max": 0x0302, **h2}, "TLSv1.1"),
        "1.0": (rsa, {"Max": 0x0301, **h2}, "TLSv1.0"),
        "3des": (rsa, {"Max": 0x0303, "Suites": [0x000A], "Alpn": ["http/1.1"]}, "TLSv1.2"),
        "rc4": (rsa, {"Max": 0x0303, "Suites": [0x0005], **h2}, "TLSv1.2"),
        "retry": (ec, {"Max": 0x0304, "Min": 0x0304, "Curves": [25], **h2}, "TLSv1.3"),
        "required": (ec, {"Max": 0x0304, "Require": True, "NoTicket": True, **h2}, "TLSv1.3"),
    }
    host = fresh_address()
    with golang(host, [(who, fields) for who, fields, _ in servers.values()]) as ports:
        targets = dict(zip(servers, ((host, port) for port in ports), strict=True))
        got = await tlsgrab([hit_line(target) for target in targets.values()], handshake_timeout=10.0)
        fresh = await tlsgrab([hit_line(targets["retry"])], handshake_timeout=10.0, fresh_keys=True)
    for name, (who, fields, version) in servers.items():
        one = got.of(targets[name])
        assert (one.outcome, one.version, one.alpn) == (Outcome.OK, version, fields["Alpn"][0]), (name, one.alert)
        assert one.certificates == who.chain
    assert fresh.of(targets["retry"]).certificates == ec.chain
    assert got.of(targets["rc4"]).cipher_suite == "TLS_RSA_WITH_RC4_128_SHA"


# -- Java --------------------------------------------------------------------------------------------------------------

#: What JSSE has, without the suites of TLS 1.3, those without any certificate of ours (DSS; ECDH with an RSA issuer).
_EXCHANGES = ("RSA", "DHE_RSA", "ECDHE_RSA", "ECDHE_ECDSA", "ECDH_ECDSA", "DH_anon", "ECDH_anon")


def jsse_suites() -> list[str]:
    """The suites that JSSE is asked to serve, by our names; SSL_ is how JSSE calls the old ones."""
    known = re.compile(
        rf"TLS_(?:{'|'.join(_EXCHANGES)})_(?:EXPORT_)?WITH_"
        r"(?:AES_(?:128|256)_(?:CBC_SHA|CBC_SHA256|CBC_SHA384|GCM_SHA256|GCM_SHA384)|CHACHA20_POLY1305_SHA256"
        r"|3DES_EDE_CBC_SHA|DES_CBC_SHA|DES40_CBC_SHA|RC4_40_MD5|RC4_128_SHA|RC4_128_MD5|NULL_SHA|NULL_MD5|NULL_SHA256)"
    )
    return [name for name in SUITES.values() if known.fullmatch(name)]


def jsse_name(name: str) -> str:
    old = ("RC4", "3DES", "DES40", "WITH_DES", "NULL_MD5")
    rsa_old = "ECDH" not in name and (any(word in name for word in old) or name == "TLS_RSA_WITH_NULL_SHA")
    return "SSL_" + name.removeprefix("TLS_") if rsa_old else name


def exists(name: str, protocol: str) -> bool:
    """What came with TLS 1.2 is not below it; export ended with TLS 1.1, DES with TLS 1.2."""
    if protocol == "TLSv1.2":
        return "EXPORT" not in name and "WITH_DES_" not in name
    modern = any(word in name for word in ("GCM", "SHA256", "SHA384", "CHACHA"))
    if protocol == "TLSv1.1":
        return not modern and "EXPORT" not in name
    return not modern and (protocol != "SSLv3" or "EC" not in name)


@pytest.mark.slow
@pytest.mark.timeout(170)
async def test_jsse_with_everything_that_it_has_disabled(tlsgrab: Grab, hit_line: Line) -> None:
    rsa, ec = identity(kind="rsa", middles=0), identity(middles=0)  # a key store joins chains by their names
    protocols = {"SSLv3": "SSLv3", "TLSv1": "TLSv1.0", "TLSv1.1": "TLSv1.1", "TLSv1.2": "TLSv1.2"}
    wanted = [(protocol, name) for protocol in protocols for name in jsse_suites() if exists(name, protocol)]
    asked = [f"{protocol} {jsse_name(name)}" for protocol, name in wanted]
    asked += ["TLSv1.3 TLS_AES_128_GCM_SHA256", "TLSv1.3 TLS_CHACHA20_POLY1305_SHA256 need"]
    host = fresh_address()
    with jsse(host, [rsa, ec], asked) as ports:
        targets = [(host, port) for port in ports]
        got = await tlsgrab([hit_line(target) for target in targets], handshake_timeout=20.0, max_connections=3)
    assert len(wanted) > 100
    words = {name for _, name in wanted}
    for word in ("EXPORT", "RC4_40", "RC4_128_MD5", "WITH_DES_CBC", "NULL_MD5", "DH_anon", "3DES"):
        assert any(word in name for name in words), word
    for (protocol, name), target in zip(wanted, targets, strict=False):
        one = got.of(target)
        assert (one.outcome, one.version, one.cipher_suite) == (Outcome.OK, protocols[protocol], name), (
            protocol, name, one.alert, one.error, one.hello,
        )  # fmt: skip
        who = [] if "anon" in name else ec.chain if "ECDSA" in name else rsa.chain
        assert one.certificates == who
    for target in targets[len(wanted) :]:
        assert (got.of(target).outcome, got.of(target).version) == (Outcome.OK, "TLSv1.3")
        assert got.of(target).certificates in (rsa.chain, ec.chain)


def test_the_java_that_is_here_is_the_java_that_is_meant() -> None:
    """Newer JDKs have removed what this is about."""
    require(shutil.which("java"), "java (Debian: openjdk-17-jdk-headless)")
    said = subprocess.run(["java", "-version"], capture_output=True, text=True, timeout=60, check=True).stderr
    assert 'version "17' in said
