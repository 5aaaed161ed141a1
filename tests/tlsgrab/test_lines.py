"""Lines made straight from a handshake are those that the record class dumps of the same conversation."""

from __future__ import annotations

import errno
import os
from dataclasses import replace

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.core import records
from stages.core.outcome import Via
from stages.core.records import Hit, Tls, prefix_key
from stages.net.conversation import Conversation
from stages.proto.tls.codes import SSL3, TLS13
from stages.proto.tls.offers import HELLOS, limited
from stages.proto.tls.script import script_of
from stages.scanner.hits import HitSource, hit_of
from stages.scanner.rows import Answer
from stages.tlsgrab.endings import outcome_of, record_of
from stages.tlsgrab.handshake import OwnHandshake
from stages.tlsgrab.lines import Common, TlsLines
from tests.servers.answers import synack
from tests.servers.certificates import identity, server_context
from tests.servers.tls_bytes import alert, certificate, extension, flight, record, server_hello
from tests.servers.tls_memory import VERSIONS, Server, talk

COMMON = Common("a scan", 'Zürich "1"', "certificate", "tcp_synscan", asked=True)
SOURCE = HitSource(COMMON.scan, COMMON.hit_probe, "tcp", COMMON.vantage)
SPEC = limited(HELLOS["modern"], SSL3, TLS13, (b"http/1.1",))
assert SPEC is not None
SCRIPT = script_of(SPEC)
STARTED = 1_795_245_000_000_001
STAPLED = record(22, server_hello(0x0303, 0x002F, extension(5, b"")) + certificate([b"leaf"]))
FLIGHT = flight([b"leaf", b"issuer"])


def ended(data: bytes, answer: Answer, name: bytes | None = None) -> Conversation:
    """One to 10.0.1.7:443 that heard these bytes."""
    handshake = OwnHandshake(SCRIPT, name, os.urandom(SCRIPT.random_bytes))
    conversation = Conversation("10.0.1.7", 443, handshake, answer, 0.0, 65_536)
    conversation.via, conversation.phase, conversation.closed_by = "raw", "read", "us"
    conversation.started = STARTED
    conversation.connected, conversation.first_byte, conversation.ended = 0.0, 0.25, 0.3333333333
    conversation.size, conversation.control = len(data), False
    if data:
        handshake.opening()
        handshake.receive(data)
    return conversation


def the_long_way(conversation: Conversation, answer: Answer) -> Tls:
    handshake = conversation.dialogue
    assert isinstance(handshake, OwnHandshake)
    hit = hit_of(answer._replace(address="10.0.1.7", port=443), SOURCE, prober=False)
    outcome, phase = outcome_of(conversation, handshake)
    return record_of(conversation, hit, handshake, outcome, phase, mode=COMMON.mode)


def check(conversation: Conversation, answer: Answer, common: Common = COMMON) -> None:
    made = TlsLines(common).keyed(conversation, answer)
    assert made is not None
    key, line = made
    wanted = the_long_way(conversation, answer)
    assert records.parse(line) == replace(wanted, control=wanted.control if common.asked else None)
    assert key == prefix_key(wanted.ip)


@pytest.mark.parametrize("data", [FLIGHT, flight([]), STAPLED + record(22, b"\x16\0\0\x0a\1\0\0\6staple")])
@pytest.mark.parametrize("common", [COMMON, COMMON._replace(asked=False)])
def test_of_bytes(data: bytes, common: Common) -> None:
    answer = synack()
    check(ended(data, answer), answer, common)


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
@pytest.mark.parametrize("name", [None, b"server.test"])
def test_of_a_real_server(version: str, name: bytes | None) -> None:
    who = identity(middles=1)
    answer = synack()
    conversation = ended(b"", answer, name)
    handshake = conversation.dialogue
    assert isinstance(handshake, OwnHandshake)
    assert talk(handshake, Server(server_context(who, VERSIONS[version], alpn=["http/1.1"])))
    assert handshake.protocol == b"http/1.1"
    assert handshake.chain_seen == who.chain
    check(conversation, answer)


@given(
    ttl=st.none() | st.integers(0, 255),
    window=st.integers(0, 65_535),
    mss=st.sampled_from([0, 88, 1460]),
    wscale=st.integers(-1, 14),
    sack=st.booleans(),
    stamps=st.booleans(),
    times=st.tuples(*[st.floats(0, 40)] * 3),
    suite=st.integers(0, 0xFFFF),
    version=st.integers(0x0300, 0x0303),
)
def test_of_any_answer(
    ttl: int | None,
    window: int,
    mss: int,
    wscale: int,
    sack: bool,
    stamps: bool,
    times: tuple[float, float, float],
    suite: int,
    version: int,
) -> None:
    answer = synack(window=window, mss=mss, wscale=wscale, sack=int(sack), has_ts=int(stamps))._replace(ttl=ttl)
    data = record(22, server_hello(version, suite) + certificate([b"leaf"]))
    conversation = ended(data, answer)
    conversation.connected, conversation.first_byte, conversation.ended = times
    check(conversation, answer)


@pytest.mark.parametrize(
    "hit",
    [
        Hit("another", 1, "10.0.1.7", 443, vantage="v", name="a.test", id="given"),
        Hit("s", 1, "10.0.1.7", 8443, tcp={"window": 5, "mss": 1460, "ts_val": 7}, ttl=3),
        Hit("s", 1, '2001:db8::1%"x\\', 443, name='"\n', id='"'),
    ],
)
@pytest.mark.parametrize("via", list(Via))
def test_of_any_hit(hit: Hit, via: Via) -> None:
    conversation = ended(FLIGHT, synack(), b"server.test")
    conversation.via, conversation.control = via.value, None
    handshake = conversation.dialogue
    assert isinstance(handshake, OwnHandshake)
    line = TlsLines(COMMON._replace(scan=hit.scan, vantage=hit.vantage, via=via)).line(conversation, hit)
    assert line is not None
    outcome, phase = outcome_of(conversation, handshake)
    assert orjson.loads(line) == orjson.loads(
        record_of(conversation, hit, handshake, outcome, phase, mode=COMMON.mode).dump()
    )


@pytest.mark.parametrize(
    ("data", "fields"),
    [
        (b"", {}),
        (FLIGHT[:20], {}),
        (alert(2, 40), {}),
        (alert(1, 112) + FLIGHT, {}),
        (STAPLED, {}),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", {}),
        (FLIGHT, {"truncated": True}),
        (FLIGHT, {"errno": errno.ECONNRESET, "failed": True}),
        (FLIGHT, {"icmp": (3, 1, "")}),
        (FLIGHT, {"first_byte": None}),
        (flight([b"leaf"] * 257), {}),
    ],
)
def test_what_is_not_plain_is_left_to_the_record(data: bytes, fields: dict[str, object]) -> None:
    answer = synack()
    conversation = ended(data, answer)
    for name, value in fields.items():
        setattr(conversation, name, value)
    assert TlsLines(COMMON).keyed(conversation, answer) is None
