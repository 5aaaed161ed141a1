"""The records: what is written is read again, bad ones are refused with their reason, ids are stable."""

from __future__ import annotations

import base64
import hashlib

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.core.errors import RecordError
from stages.core.outcome import DeadReason, Outcome, Phase
from stages.core.record_fields import b64
from stages.core.records import MAX_RECORD_BYTES, Banner, Hit, Scan, Tls, is_ip, parse, prefix_key, record_id
from tests.core.record_strategies import records

HIT = Hit(scan="s", ts=1, ip="192.0.2.1", port=80)
BANNER = Banner(scan="s", ts=1, ip="192.0.2.1", port=80, outcome=Outcome.OK, phase=Phase.READ, data=b"\x00hi\xff")
TLS = Tls(scan="s", ts=1, ip="::1", port=443, outcome=Outcome.ALERT, phase=Phase.HELLO, certificates=[b"\x30\x00"])
SCAN = Scan(scan="s", ts=1, event="start", spec={"ports": [80]})


@given(records)
def test_round_trip(record):
    line = record.dump()
    assert b"\n" not in line
    assert parse(line) == record


@pytest.mark.parametrize("record", [HIT, BANNER, TLS, SCAN])
def test_unknown_fields_are_ignored(record):
    assert parse(orjson.dumps(orjson.loads(record.dump()) | {"later": {"x": 1}})) == record


def test_derived_fields_of_a_banner():
    fields = orjson.loads(BANNER.dump())
    assert fields["size"] == 4
    assert fields["sha256"] == hashlib.sha256(BANNER.data).hexdigest()
    assert base64.b64decode(fields["data"]) == BANNER.data == base64.b64decode(b64(BANNER.data))


@pytest.mark.parametrize(
    ("record", "change", "detail"),
    [
        (HIT, {"kind": "nonsense"}, "kind is 'nonsense'"),
        (HIT, {"kind": None}, "kind is None"),
        (HIT, {"kind": ["hit"]}, "kind is"),
        (HIT, {"v": 2}, "v is 2; this program reads up to 1"),
        (HIT, {"v": 0}, "v is 0"),
        (HIT, {"v": True}, "v is True"),
        (HIT, {"v": "1"}, "v is '1'"),
        (HIT, {"id": 5}, "id is 5, not a string"),
        (HIT, {"scan": None}, "scan is None"),
        (HIT, {"vantage": 5}, "vantage is 5"),
        (HIT, {"ts": "yesterday"}, "not an RFC 3339 time"),
        (HIT, {"ts": 5}, "ts is 5"),
        (HIT, {"ip": "192.0.2.256"}, "not an address"),
        (HIT, {"ip": None}, "ip is None"),
        (HIT, {"port": 65536}, "port is 65536"),
        (HIT, {"port": -1}, "port is -1"),
        (HIT, {"port": True}, "port is True"),
        (HIT, {"port": 80.0}, "port is 80.0"),
        (HIT, {"transport": "sctp"}, "transport is 'sctp'"),
        (HIT, {"name": 5}, "name is 5"),
        (HIT, {"probe": None}, "probe is None"),
        (HIT, {"classification": 1}, "classification is 1"),
        (HIT, {"success": 1}, "success is 1, not true or false"),
        (HIT, {"repeat": "no"}, "repeat is 'no'"),
        (HIT, {"ttl": 1.5}, "ttl is 1.5"),
        (HIT, {"ttl": True}, "ttl is True"),
        (HIT, {"rtt": "1"}, "rtt is '1'"),
        (HIT, {"tcp": []}, "tcp is"),
        (HIT, {"source": "x"}, "source is"),
        (BANNER, {"outcome": "fine"}, "'fine' is not a valid Outcome"),
        (BANNER, {"outcome": None}, "is not a valid Outcome"),
        (BANNER, {"phase": "begin"}, "'begin' is not a valid Phase"),
        (BANNER, {"via": "luck"}, "'luck' is not a valid Via"),
        (BANNER, {"connect": "1"}, "connect is '1'"),
        (BANNER, {"hit": 5}, "hit is 5"),
        (BANNER, {"errno": 111}, "errno is 111"),
        (BANNER, {"icmp": [3, 3]}, "icmp is"),
        (BANNER, {"sent": 1.0}, "sent is 1.0"),
        (BANNER, {"truncated": 0}, "truncated is 0"),
        (BANNER, {"data": "A"}, "data is not base64"),
        (BANNER, {"data": "AA==x"}, "data is not base64"),
        (BANNER, {"data": "é"}, "data is not base64"),
        (BANNER, {"data": None}, "data is None, not base64"),
        (BANNER, {"datagrams": [1, "x"]}, "datagrams is"),
        (BANNER, {"datagrams": 5}, "datagrams is 5"),
        (TLS, {"mode": None}, "mode is None"),
        (TLS, {"chain": None}, "chain is not a list"),
        (TLS, {"chain": [5]}, "chain is not a list"),
        (TLS, {"certificates": "AA=="}, "certificates is not a list"),
        (TLS, {"certificates": [5]}, "certificates is 5, not base64"),
        (TLS, {"version": 771}, "version is 771"),
        (TLS, {"server_hello": []}, "server_hello is"),
        (TLS, {"connections": -1}, "connections is -1"),
        (TLS, {"connections": True}, "connections is True"),
        (TLS, {"connections": None}, "connections is None"),
        (TLS, {"ocsp": "~"}, "ocsp is not base64"),
        (TLS, {"scts": 5}, "scts is 5"),
        (TLS, {"starttls": 5}, "starttls is 5"),
        (SCAN, {"event": "begin"}, "event is 'begin'"),
        (SCAN, {"spec": "x"}, "spec is 'x'"),
        (SCAN, {"position": "1"}, "position is '1'"),
        (SCAN, {"vantage": {}}, "vantage is"),
    ],
)
def test_bad_records(record, change, detail):
    with pytest.raises(RecordError, match=detail.replace("[", r"\[")) as caught:
        parse(orjson.dumps(orjson.loads(record.dump()) | change))
    assert caught.value.reason is DeadReason.SCHEMA


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"", DeadReason.UNDECODABLE),
        (b"{", DeadReason.UNDECODABLE),
        (b"\xff", DeadReason.UNDECODABLE),
        (b'{"kind": NaN}', DeadReason.UNDECODABLE),
        (b"[]", DeadReason.SCHEMA),
        (b"5", DeadReason.SCHEMA),
        (b'"hit"', DeadReason.SCHEMA),
        (b" " * (MAX_RECORD_BYTES + 1), DeadReason.OVERSIZED),
    ],
)
def test_what_is_no_record(line, reason):
    with pytest.raises(RecordError) as caught:
        parse(line)
    assert caught.value.reason is reason


@given(st.binary(max_size=200))
def test_any_bytes_raise_nothing_but_record_errors(line):
    with pytest.raises(RecordError):
        parse(line)


def test_ids_are_stable_and_tell_targets_apart():
    assert record_id("hit", "s", "tcp_synscan", "tcp", "192.0.2.1", 80) == HIT.id == "4e9f931dcb922bc7c11b9555d566f70a"
    ids = {
        record_id(*key)
        for key in (
            ("hit", "s", "p", "tcp", "192.0.2.1", 80),
            ("banner", "s", "p", "tcp", "192.0.2.1", 80),
            ("hit", "t", "p", "tcp", "192.0.2.1", 80),
            ("hit", "s", "q", "tcp", "192.0.2.1", 80),
            ("hit", "s", "p", "udp", "192.0.2.1", 80),
            ("hit", "s", "p", "tcp", "192.0.2.2", 80),
            ("hit", "s", "p", "tcp", "192.0.2.1", 81),
            ("hit", "s", "p", "tcp", "192.0.2.1", 80, "a.example"),
            ("hit", "s", "p", "tcp", "192.0.2.1", 80, None, "full"),
        )
    }
    assert len(ids) == 9
    first, second = (Scan(scan="s", ts=ts, event="progress") for ts in (1, 2))
    assert first.id != second.id
    assert Scan(scan="s", ts=1, event="end").id == Scan(scan="s", ts=2, event="end").id


def test_prefix_key():
    assert prefix_key("10.1.2.3") == b"10.1.2"
    assert prefix_key("2001:db8:1:2::3") == b"20010db80001"
    assert prefix_key("fe80::1%eth0") == b"fe8000000000"
    assert prefix_key("::ffff:10.1.2.3") == b"000000000000"


@given(st.ip_addresses())
def test_addresses_are_addresses(ip):
    assert is_ip(str(ip))
    assert prefix_key(str(ip))


@pytest.mark.parametrize(
    "text", ["", "1.2.3", "1.2.3.4.", "1.2.3.4.5", "256.1.1.1", "01.1.1.1", "1.1.1.1\n", "::g", "a", "١.1.1.1"]
)
def test_no_addresses(text):
    assert not is_ip(text)


def test_issuers_that_come_again_are_read_once() -> None:
    issuer, large = b"i" * 900, b"l" * 9_000

    def line(*ders: bytes) -> bytes:
        return Tls("s", 0, "10.0.0.1", 443, Outcome.OK, Phase.FINISH, certificates=list(ders)).dump()

    def read(text: bytes) -> list[bytes]:
        record = parse(text)
        assert isinstance(record, Tls)
        return record.certificates

    chains = [read(line(bytes([k]), issuer, large)) for k in range(9)]
    assert chains == [[bytes([k]), issuer, large] for k in range(9)]
    assert len({id(chain[1]) for chain in chains}) == 1
    assert len({id(chain[2]) for chain in chains}) == 9  # too large to be kept
    for k in range(9_000):  # more than are kept
        assert read(line(b"", b"%d" % k)) == [b"", b"%d" % k]
    for bad in (b'"!"', b"[]", b"null"):
        with pytest.raises(RecordError, match="not base64"):
            parse(line(b"", issuer).replace(b'"' + b64(issuer).encode() + b'"', bad))
