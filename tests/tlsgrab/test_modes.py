"""Settings become handshakes."""

from __future__ import annotations

import pytest

from stages.proto.tls.script import Stop
from stages.tlsgrab.handshake import OwnHandshake, StarttlsHandshake
from stages.tlsgrab.modes import RANDOM_BLOCK, Randomness, mode_of
from stages.tlsgrab.openssl import FullHandshake
from stages.tlsgrab.settings import TlsgrabSettings
from tests.servers.tls_bytes import client_parts


def test_the_mode_is_the_handshake() -> None:
    certificate = mode_of(TlsgrabSettings())
    assert (certificate.name, certificate.light, certificate.budget) == ("certificate", True, 2)
    assert list(certificate.hellos) == ["modern", "wide", "old", "ancient"]
    one = certificate.begin(b"a.test", "", 443)
    assert isinstance(one, OwnHandshake)
    assert one.hello_name == "modern"
    assert certificate.begin(None, "ancient", 443).hello_name == "ancient"
    full = mode_of(TlsgrabSettings(mode="full"))
    assert (full.name, full.light, full.budget, dict(full.hellos)) == ("full", False, 1, {})
    assert isinstance(full.begin(b"a.test", "", 443), FullHandshake)


def test_hello_stops_at_the_hello() -> None:
    mode = mode_of(TlsgrabSettings(mode="hello", max_connections=3))
    assert (mode.name, mode.budget) == ("hello", 3)
    assert mode.begin(None, "", 443)._script.stop is Stop.HELLO


def test_every_connection_has_randomness_of_its_own() -> None:
    mode = mode_of(TlsgrabSettings())
    hellos = {mode.begin(None, "", 443).opening()[11:43] for _ in range(10)}
    assert len(hellos) == 10


def test_no_byte_of_randomness_is_given_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = [bytes(range(256)) * (RANDOM_BLOCK // 256), b"x" * RANDOM_BLOCK]
    monkeypatch.setattr("os.urandom", lambda count: blocks.pop(0)[:count])
    random = Randomness()
    each = [random.take(96) for _ in range(RANDOM_BLOCK // 96 + 1)]
    assert b"".join(each[:-1]) == (bytes(range(256)) * (RANDOM_BLOCK // 256))[: 96 * (RANDOM_BLOCK // 96)]
    assert each[-1] == b"x" * 96  # what was left of the first block was too short


@pytest.mark.parametrize("fresh", [False, True])
def test_fresh_keys_are_fresh(fresh: bool) -> None:
    mode = mode_of(TlsgrabSettings(fresh_keys=fresh))
    shares = {client_parts(mode.begin(None, "", 443).opening()[5:])[1][51] for _ in range(5)}
    assert len(shares) == (5 if fresh else 1)


def test_versions_and_protocols_reach_the_hello() -> None:
    mode = mode_of(TlsgrabSettings(versions="tls1.1-tls1.2", alpn=("imap",)))
    assert list(mode.hellos) == ["modern", "wide"]
    _, found = client_parts(mode.begin(None, "", 443).opening()[5:])
    assert found[16] == b"\0\x05\x04imap"
    assert 43 not in found
    _, found = client_parts(mode_of(TlsgrabSettings(alpn=())).begin(None, "", 443).opening()[5:])
    assert 16 not in found


def test_the_times_reach_the_dialogue() -> None:
    one = mode_of(TlsgrabSettings(handshake_timeout="3s", conn_timeout="2s")).begin(None, "", 443)
    assert (one.wait(), one.idle, one.total) == (3.0, 3.0, 5.0)


def test_inside_another_protocol_by_port() -> None:
    mode = mode_of(TlsgrabSettings(starttls="auto"))
    assert isinstance(mode.begin(None, "", 25), StarttlsHandshake)
    assert mode.begin(None, "", 25).protocol == "smtp"
    assert isinstance(mode.begin(None, "", 443), OwnHandshake)
    assert mode_of(TlsgrabSettings(starttls="imap", mode="full")).begin(None, "", 25).protocol == "imap"
