"""The handshake without sockets: against OpenSSL of Python's ssl over memory BIOs, and against bytes made by hand."""

from __future__ import annotations

import gc
import ssl
import weakref

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from OpenSSL import SSL

from stages.core.outcome import Outcome, Phase
from stages.tlsgrab.openssl import LINGER, MAX_TOLD_BYTES, FullHandshake, client_context
from tests.servers import tls_bytes
from tests.servers.certificates import identity, server_context
from tests.servers.tls_bytes import UNREADABLE, alert, flight, flight13, message, record, server_hello
from tests.servers.tls_memory import VERSIONS, Server, talk


def shake(
    sni: bytes | None = None,
    alpn: tuple[str, ...] = ("h2", "http/1.1"),
    minimum: str | None = None,
    maximum: str | None = None,
) -> FullHandshake:
    return FullHandshake(client_context(minimum, maximum, alpn), sni, first=5.0, idle=6.0, total=9.0)


@pytest.mark.parametrize("size", [None, 1, 7])
@pytest.mark.parametrize("version", VERSIONS)
def test_a_whole_handshake(version: str, size: int | None) -> None:
    who = identity()
    server = Server(server_context(who, VERSIONS[version], alpn=["http/1.1"]))
    handshake = shake(b"server.test")
    assert talk(handshake, server, size)
    assert (handshake.outcome, handshake.phase) == (Outcome.OK, Phase.FINISH)
    assert list(handshake.chain()) == who.chain
    facts = handshake.facts()
    assert facts["version"] == version
    assert (facts["alert"], facts["error"], facts["sni"], facts["alpn"]) == (None, None, "server.test", "http/1.1")
    assert facts["server_hello"]["cipher_suite_name"] == facts["cipher_suite"]
    # The server sees it whole too, close_notify included (ssl says EOF on a read behind it).
    assert server.shaken
    assert isinstance(server.error, ssl.SSLZeroReturnError | None)
    agreed = server.tls.cipher()
    assert agreed is not None
    suites = {suite["name"]: suite["id"] & 0xFFFF for suite in server_context(who).get_ciphers()}
    assert facts["server_hello"]["cipher_suite"] == suites[agreed[0]]
    assert server.tls.version() == version.removesuffix(".0")


@pytest.mark.parametrize("kind", ["rsa", "ed25519"])
def test_other_keys(kind: str) -> None:
    who = identity(kind=kind, middles=2)
    handshake = shake()
    assert talk(handshake, Server(server_context(who)))
    assert handshake.outcome is Outcome.OK
    assert list(handshake.chain()) == who.chain
    assert handshake.facts()["sni"] is None


def test_an_expired_certificate_is_as_good_as_any() -> None:
    who = identity(ends=-10)
    handshake = shake()
    assert talk(handshake, Server(server_context(who)))
    assert handshake.outcome is Outcome.OK
    assert list(handshake.chain()) == who.chain


def test_the_name_that_is_asked_for_is_what_the_server_hears() -> None:
    heard: list[str | None] = []
    context = server_context(identity())
    context.sni_callback = lambda _, name, __: heard.append(name)
    assert talk(shake(b"other.test"), Server(context))
    assert talk(shake(None), Server(context))
    assert heard == ["other.test", None]


def test_no_protocol_in_common_is_no_protocol() -> None:
    handshake = shake(alpn=())
    assert talk(handshake, Server(server_context(identity(), alpn=["h2"])))
    assert handshake.facts()["alpn"] is None


@pytest.mark.parametrize(
    ("minimum", "maximum", "offered"),
    [(None, "tls1.2", "TLSv1.2"), ("tls1.3", None, "TLSv1.3"), ("tls1.1", "tls1.1", "TLSv1.1")],
)
def test_the_range_of_versions(minimum: str | None, maximum: str | None, offered: str) -> None:
    handshake = shake(minimum=minimum, maximum=maximum)
    context = server_context(identity())
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    assert talk(handshake, Server(context))
    assert handshake.facts()["version"] == offered


def test_a_server_without_our_versions_says_so() -> None:
    handshake = shake(maximum="tls1.2")
    assert talk(handshake, Server(server_context(identity(), ssl.TLSVersion.TLSv1_3)))
    assert (handshake.outcome, handshake.phase) == (Outcome.ALERT, Phase.HELLO)
    assert handshake.facts()["alert"] == "protocol_version"
    assert handshake.facts()["error"] is None
    assert handshake.facts()["version"] is None


def test_a_suite_with_a_certificate_comes_before_all_without() -> None:
    """A server that has anonymous suites and takes the client's order must not choose one."""
    names = SSL.Connection(client_context(None, None, ()), None).get_cipher_list()
    without = [index for index, name in enumerate(names) if "ADH-" in name or "AECDH-" in name]
    assert without
    assert without == list(range(len(names) - len(without), len(names)))
    context = server_context(identity(kind="rsa"), ssl.TLSVersion.TLSv1_2, ciphers="aNULL:ALL:@SECLEVEL=0")
    context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    handshake = shake()
    assert talk(handshake, Server(context))
    assert handshake.chain()


def test_a_server_with_nothing_but_anonymous_suites() -> None:
    handshake = shake()
    context = server_context(identity(), ssl.TLSVersion.TLSv1_2, ciphers="AECDH-AES256-SHA:@SECLEVEL=0")
    assert talk(handshake, Server(context))
    assert (handshake.outcome, handshake.phase) == (Outcome.OK, Phase.FINISH)
    assert handshake.chain() == []


# -- a server that wants to see our certificate ------------------------------------------------------------------------


def test_a_client_certificate_is_required_in_tls12() -> None:
    who = identity()
    handshake = shake()
    context = server_context(who, ssl.TLSVersion.TLSv1_2, client=ssl.CERT_REQUIRED)
    assert talk(handshake, Server(context))
    assert (handshake.outcome, handshake.phase) == (Outcome.ALERT, Phase.FINISH)
    assert handshake.facts()["alert"] == "handshake_failure"
    assert list(handshake.chain()) == who.chain


@pytest.mark.parametrize("size", [None, 1])
def test_a_client_certificate_is_required_in_tls13(size: int | None) -> None:
    """The server refuses when all is over for us: its verdict is waited for."""
    who = identity()
    handshake = shake()
    context = server_context(who, ssl.TLSVersion.TLSv1_3, client=ssl.CERT_REQUIRED)
    assert talk(handshake, Server(context), size)
    assert handshake.complete
    assert (handshake.outcome, handshake.phase) == (Outcome.ALERT, Phase.FINISH)
    assert (handshake.facts()["alert"], handshake.facts()["error"]) == ("certificate_required", None)
    assert list(handshake.chain()) == who.chain


def test_a_client_certificate_is_only_wished_for() -> None:
    """A ticket is the sign that we are let in."""
    handshake = shake()
    assert talk(handshake, Server(server_context(identity(), ssl.TLSVersion.TLSv1_3, client=ssl.CERT_OPTIONAL)))
    assert handshake.outcome is Outcome.OK


def test_a_verdict_that_does_not_come_is_waited_for_a_little_only() -> None:
    handshake = shake()
    assert handshake.idle == 6.0
    context = server_context(identity(), ssl.TLSVersion.TLSv1_3, client=ssl.CERT_OPTIONAL, tickets=0)
    assert not talk(handshake, Server(context))
    assert handshake.idle == LINGER
    assert handshake.outcome is Outcome.OK
    assert handshake.eof() is None
    assert handshake.outcome is Outcome.OK


def test_a_polite_end_is_no_verdict() -> None:
    handshake = shake()
    server = Server(server_context(identity(), ssl.TLSVersion.TLSv1_3, client=ssl.CERT_OPTIONAL, tickets=0))
    assert not talk(handshake, server)
    with pytest.raises(ssl.SSLWantReadError):
        server.tls.unwrap()
    assert handshake.receive(server.outgoing.read()) is None
    assert (handshake.outcome, handshake.facts()["alert"]) == (Outcome.OK, None)


# -- servers that fail -------------------------------------------------------------------------------------------------


def opened(**options: str) -> FullHandshake:
    handshake = shake(**options)  # type: ignore[arg-type]
    assert handshake.opening().startswith(b"\x16\x03\x01")
    return handshake


@pytest.mark.parametrize("description", [40, 70, 80, 112])
def test_an_alert_at_once(description: int) -> None:
    handshake = opened()
    assert handshake.receive(alert(2, description)) is None
    assert handshake.farewell() == b""
    assert (handshake.outcome, handshake.phase) == (Outcome.ALERT, Phase.HELLO)
    assert handshake.facts()["alert"] == {
        40: "handshake_failure", 70: "protocol_version", 80: "internal_error", 112: "unrecognized_name"
    }[description]  # fmt: skip
    assert handshake.facts()["error"] is None


def test_close_notify_instead_of_a_hello() -> None:
    handshake = opened()
    assert handshake.receive(alert(1, 0)) is None
    assert (handshake.outcome, handshake.facts()["alert"]) == (Outcome.ALERT, "close_notify")


def test_an_alert_behind_the_hello() -> None:
    handshake = opened()
    assert handshake.receive(record(22, server_hello(0x0303, tls_bytes.RSA))) == b""
    assert handshake.phase is Phase.CERTIFICATE
    assert handshake.receive(alert(2, 80)) is None
    assert (handshake.outcome, handshake.phase) == (Outcome.ALERT, Phase.CERTIFICATE)
    assert handshake.facts()["version"] == "TLSv1.2"


def test_a_warning_is_told_and_ends_nothing() -> None:
    """Servers that do not know the name warn, and go on (RFC 6066 section 3)."""
    who = identity()
    server = Server(server_context(who, ssl.TLSVersion.TLSv1_2))
    handshake = shake(b"nobody.test")
    warned = False

    def warning(data: bytes) -> bytes:
        nonlocal warned
        said, warned = (b"" if warned else alert(1, 112)), True
        return said + server(data)

    assert talk(handshake, warning)
    assert (handshake.outcome, handshake.facts()["alert"]) == (Outcome.OK, "unrecognized_name")


def test_a_warning_and_then_the_end() -> None:
    handshake = opened()
    assert handshake.receive(alert(1, 112)) == b""
    assert handshake.outcome is None
    handshake.eof()
    assert (handshake.outcome, handshake.facts()["alert"]) == (Outcome.PROTOCOL, "unrecognized_name")


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n", b"220 mail.test ESMTP\r\n", b"\0" * 100, b"\xff"],
)
def test_what_is_not_tls_is_told_by_its_first_bytes(answer: bytes) -> None:
    handshake = opened()
    assert handshake.receive(answer) is None
    assert handshake.farewell() == b""
    assert (handshake.outcome, handshake.phase) == (Outcome.PROTOCOL, Phase.HELLO)
    assert answer[:MAX_TOLD_BYTES].hex() in handshake.facts()["error"]
    assert answer[: MAX_TOLD_BYTES + 1].hex() == answer.hex() or len(handshake.facts()["error"]) < 200


def test_the_end_in_the_middle() -> None:
    handshake = opened()
    handshake.receive(flight(identity().chain)[:40])
    handshake.eof()
    assert (handshake.outcome, handshake.phase) == (Outcome.PROTOCOL, Phase.HELLO)
    assert "closed in the middle" in handshake.facts()["error"]


def test_the_end_without_a_byte_says_nothing() -> None:
    handshake = opened()
    handshake.eof()
    assert (handshake.outcome, handshake.phase, handshake.error) == (None, Phase.HELLO, None)


def test_a_retry_request_is_no_hello() -> None:
    handshake = opened()
    retry = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
    hello = server_hello(0x0303, 0x1301, tls_bytes.extension(43, b"\x03\x04") + tls_bytes.extension(51, b"\0\x17"))
    handshake.receive(record(22, hello[:6] + retry + hello[38:]))
    handshake.eof()
    assert handshake.phase is Phase.HELLO
    assert handshake.facts()["version"] == "TLSv1.3"


@pytest.mark.parametrize("size", [10_000, 60, 1])
def test_a_version_that_openssl_no_longer_has(size: int) -> None:
    """SSLv3: OpenSSL gives up at the hello, and the chain is read all the same, however TCP cuts it."""
    who = identity()
    handshake = opened()
    data = flight(who.chain, version=0x0300, suite=0x002F)
    said = [handshake.receive(data[at : at + size]) for at in range(0, len(data), size)]
    assert None in said
    assert not any(said), "nothing is said before the chain is here"
    assert (handshake.outcome, handshake.phase) == (Outcome.PROTOCOL, Phase.HELLO)
    facts = handshake.facts()
    assert facts["version"] == "SSLv3"
    assert facts["error"].startswith("OpenSSL: ")
    assert list(handshake.chain()) == who.chain
    assert handshake.farewell()[:1] == b"\x15", "our alert goes out at the end"


def test_a_chain_that_does_not_come_is_waited_for_a_little_only() -> None:
    handshake = opened()
    assert handshake.receive(record(22, server_hello(0x0300, 0x002F), 0x0300)) == b""
    assert handshake.idle == LINGER
    assert handshake.receive(alert(2, 40)) is None
    assert handshake.chain() == []


def test_no_chain_is_waited_for_where_none_can_come() -> None:
    handshake = opened()
    hello = server_hello(0x0300, 0x0034) + message(12, b"key exchange")
    assert handshake.receive(record(22, hello, 0x0300)) is None


@pytest.mark.parametrize("size", [10_000, 100, 1])
def test_a_certificate_that_openssl_cannot_read(size: int) -> None:
    chain = [UNREADABLE, identity().chain[1]]
    handshake = opened()
    data = flight(chain)
    said = [handshake.receive(data[at : at + size]) for at in range(0, len(data), size)]
    assert None in said
    assert (handshake.outcome, handshake.phase) == (Outcome.PROTOCOL, Phase.CERTIFICATE)
    assert list(handshake.chain()) == chain
    facts = handshake.facts()
    assert facts["error"].startswith("OpenSSL: ")
    assert facts["version"] == "TLSv1.2"


def test_a_certificate_that_openssl_cannot_read_in_tls13() -> None:
    """Encrypted: version, suite and OpenSSL's complaint are all that can be said."""
    handshake = shake()
    hello = handshake.opening()
    assert handshake.receive(flight13(hello, [UNREADABLE])) is None
    assert (handshake.outcome, handshake.phase) == (Outcome.PROTOCOL, Phase.CERTIFICATE)
    facts = handshake.facts()
    assert (facts["version"], facts["cipher_suite"]) == ("TLSv1.3", "TLS_AES_128_GCM_SHA256")
    assert facts["error"].startswith("OpenSSL: ")
    assert handshake.chain() == []
    assert handshake.farewell()


def test_the_hand_made_tls13_is_tls13() -> None:
    """With certificates that can be read OpenSSL takes it, and waits for the signature."""
    handshake = shake()
    hello = handshake.opening()
    assert handshake.receive(flight13(hello, identity().chain)) == b""
    assert handshake.error is None


@pytest.mark.parametrize("bound", ["within", "beyond"])
def test_large_chains(bound: str) -> None:
    """OpenSSL's limit is 100 KiB; the clear bytes of TLS 1.2 are read further."""
    who = identity(middles=5, padding=15_000 if bound == "within" else 30_000)
    for version in ("TLSv1.2", "TLSv1.3"):
        handshake = shake()
        assert talk(handshake, Server(server_context(who, VERSIONS[version])))
        if bound == "within":
            assert handshake.outcome is Outcome.OK
            assert list(handshake.chain()) == who.chain
        else:
            assert (handshake.outcome, handshake.phase) == (Outcome.PROTOCOL, Phase.CERTIFICATE)
            assert "excessive message size" in handshake.facts()["error"]
            assert list(handshake.chain()) == (who.chain if version == "TLSv1.2" else [])


@pytest.mark.parametrize(
    "endless",
    [
        record(22, b""),
        alert(1, 112),
        record(20, b"\1"),
        record(22, b"\x0b\x7f\xff\xff" + bytes(16_000)),
        record(23, bytes(1_000)),
        record(22, server_hello(0x0303, tls_bytes.RSA)),
    ],
    ids=["empty", "warnings", "change", "message", "data", "hellos"],
)
def test_records_without_end_end(endless: bytes) -> None:
    handshake = opened()
    for _ in range(100):
        if handshake.receive(endless) is None:
            break
    assert handshake.outcome in (Outcome.PROTOCOL, Outcome.ALERT)
    assert handshake.error is not None


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.binary(min_size=1, max_size=80), max_size=8),
    st.sampled_from([b"", b"\x16\x03\x03", b"\x15\x03\x01\0\2"]),
)
def test_any_bytes_end_in_facts(pieces: list[bytes], start: bytes) -> None:
    handshake = opened()
    for piece in [start, *pieces] if start else pieces:
        if handshake.receive(piece) is None:
            handshake.farewell()
            break
    else:
        handshake.eof()
    assert handshake.phase in (Phase.HELLO, Phase.CERTIFICATE)
    assert handshake.outcome in (None, Outcome.PROTOCOL, Outcome.ALERT)
    assert set(handshake.facts()) >= {"alert", "error", "version", "cipher_suite", "alpn", "sni", "server_hello"}


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2_000), st.integers(1, 255))
def test_a_flight_with_one_wrong_byte_ends_in_facts(at: int, change: int) -> None:
    data = bytearray(flight(identity().chain))
    data[at % len(data)] ^= change
    handshake = opened()
    if handshake.receive(bytes(data)) is None:
        handshake.farewell()
    else:
        handshake.eof()
    assert handshake.outcome in (Outcome.PROTOCOL, Outcome.ALERT)
    assert handshake.facts()["server_hello"] is None or handshake.facts()["version"]


# -- memory ------------------------------------------------------------------------------------------------------------


def test_nothing_heavy_before_it_is_connected() -> None:
    handshake = shake()
    assert handshake._connection is None
    assert handshake.chain() == []
    assert handshake.phase is Phase.HELLO
    assert handshake.facts()["alpn"] is None


def test_openssl_goes_with_the_handshake() -> None:
    """No cycle: the SSL object is freed without the garbage collector, which knows nothing of its size."""
    gc.disable()
    try:
        for server in (Server(server_context(identity())), lambda _: b"not TLS"):
            handshake = shake()
            talk(handshake, server)
            held = weakref.ref(handshake._connection)
            del handshake
            assert held() is None
    finally:
        gc.enable()


def test_one_context_for_all() -> None:
    assert client_context(None, "tls1.2", ("h2",)) is client_context(None, "tls1.2", ("h2",))
