"""Lines of a pipe as hits: every form, and every bad one with its reason."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.core.errors import RecordError
from stages.core.intake import LISTED, MAX_SECONDS, MAX_TAG, LineReader, canonical
from stages.core.outcome import DeadReason
from stages.core.records import MAX_RECORD_BYTES, Hit, Scan, parse

TS = 1_700_000_000_000_000


def reader(default_port=80, **keywords):
    return LineReader(default_port, "pipe", "here", **keywords)


def read(line, default_port=80, **keywords):
    return reader(default_port, **keywords).read(line.encode(), TS)


@pytest.mark.parametrize(
    ("line", "target"),
    [
        ("192.0.2.1", ("192.0.2.1", 80, None)),
        ("192.0.2.1\r\n", ("192.0.2.1", 80, None)),
        ("  192.0.2.1  # why", ("192.0.2.1", 80, None)),
        ("\ufeff192.0.2.1", ("192.0.2.1", 80, None)),
        ("192.0.2.1:443", ("192.0.2.1", 443, None)),
        ("192.0.2.1,443", ("192.0.2.1", 443, None)),
        ("192.0.2.1, 443", ("192.0.2.1", 443, None)),
        ("192.0.2.1,443,Example.ORG.", ("192.0.2.1", 443, "example.org")),
        ("192.0.2.1,443,", ("192.0.2.1", 443, None)),
        ("192.0.2.1,example.org", ("192.0.2.1", 80, "example.org")),
        ("192.0.2.1,example.org,web", ("192.0.2.1", 80, "example.org")),
        ("192.0.2.1:8443,example.org", ("192.0.2.1", 8443, "example.org")),
        ("192.0.2.1,example.org,web,8443", ("192.0.2.1", 8443, "example.org")),
        ("192.0.2.1,,web,8443", ("192.0.2.1", 8443, None)),
        ("192.0.2.1,,,8443", ("192.0.2.1", 8443, None)),
        ("192.0.2.1,,,", ("192.0.2.1", 80, None)),
        ("192.0.2.1,", ("192.0.2.1", 80, None)),
        ('192.0.2.1,,"a,b",8443', ("192.0.2.1", 8443, None)),
        ("192.0.2.1,192.0.2.1,web,443", ("192.0.2.1", 443, None)),
        ("2001:db8::1", ("2001:db8::1", 80, None)),
        ("2001:DB8:0::1", ("2001:db8::1", 80, None)),
        ("[2001:db8::1]", ("2001:db8::1", 80, None)),
        ("[2001:db8::1]:443", ("2001:db8::1", 443, None)),
        ("2001:db8::1,443", ("2001:db8::1", 443, None)),
        ("::ffff:192.0.2.1", ("192.0.2.1", 80, None)),
        ("192.0.2.1:65535", ("192.0.2.1", 65535, None)),
    ],
)
def test_plain_lines(line, target):
    hit = read(line)
    assert hit is not None
    assert (hit.ip, hit.port, hit.name) == target
    assert (hit.scan, hit.vantage, hit.probe, hit.ts, hit.transport) == ("pipe", "here", "input", TS, "tcp")
    assert hit.success
    assert not hit.repeat


def test_addresses_as_names_where_they_are_asked_for():
    for line in ("192.0.2.1,443,2001:DB8::1", "192.0.2.1,2001:db8::1,web,443"):
        assert read(line).name is None
        assert read(line, literal_names=True).name == "2001:db8::1"
    one = reader(literal_names=True)
    assert one.read(b"saddr,name", TS) is None
    assert one.read(b"192.0.2.1,192.0.2.9", TS).name == "192.0.2.9"


@pytest.mark.parametrize("line", ["", "  ", "\n", "# comment", "  # 192.0.2.1", "saddr", "saddr,sport", "ip,port,name"])
def test_lines_that_are_no_target(line):
    assert read(line) is None


def test_the_tag_becomes_the_classification():
    assert read("192.0.2.1,,ssh,22").classification == "ssh"
    assert read("192.0.2.1,a.example," + "x" * 100).classification == "x" * MAX_TAG
    assert read("192.0.2.1").classification == LISTED


@pytest.mark.parametrize(
    ("line", "detail"),
    [
        ("192.0.2.1:0", "port 0"),
        ("192.0.2.1:70000", "not a port"),
        ("192.0.2.1:abc", "not a port"),
        ("192.0.2.1:", "no port behind the colon"),
        ("192.0.2.1,99999999999999999999", "not a port"),
        ("192.0.2.1,²", "not a port"),
        ("192.0.2.1,80,443", "not ip,port,name"),
        ("192.0.2.1,80,57,1", "not ip,port,name"),
        ("192.0.2.1:80,,web,443", "two ports"),
        ("192.0.2.1,a,b,80,e", "5 columns without a header"),
        ("192.0.2.256", "not an address"),
        ("192.0.2", "not an address"),
        ("example.org", "not an address"),
        ("example.org:80", "not an address"),
        (",80", "not an address"),
        ("192.0.2.1,not a name", "not a host name"),
        ("[2001:db8::1", "not \\[address\\]:port"),
        ("[2001:db8::1]443", "not \\[address\\]:port"),
        ("[192.0.2.1]:443", "not an IPv6 address"),
        ("2001:db8::g", "not an address"),
    ],
)
def test_bad_targets(line, detail):
    with pytest.raises(RecordError, match=detail) as caught:
        read(line)
    assert caught.value.reason is DeadReason.TARGET


def test_no_port_at_all():
    with pytest.raises(RecordError, match="no default port") as caught:
        read("192.0.2.1", default_port=None)
    assert caught.value.reason is DeadReason.TARGET
    assert read("192.0.2.1:22", default_port=None).port == 22


def test_port_0_where_nothing_is_connected():
    assert read("192.0.2.1:0", connects=False).port == 0


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"\xff\xfe", DeadReason.UNDECODABLE),
        (b"{", DeadReason.UNDECODABLE),
        (b'{"saddr": "192.0.2.1"', DeadReason.UNDECODABLE),
        (b'192.0.2.1,"x', DeadReason.UNDECODABLE),
        (b"1" * (MAX_RECORD_BYTES + 1), DeadReason.OVERSIZED),
        (b"{}", DeadReason.SCHEMA),
        (b'{"kind": "hit"}', DeadReason.SCHEMA),
        (b'{"kind": "nonsense", "v": 1}', DeadReason.SCHEMA),
        (b'{"kind": 5}', DeadReason.SCHEMA),
        (b'{"saddr": "192.0.2.1", "ttl": "x"}', DeadReason.SCHEMA),
        (b'{"saddr": "192.0.2.1", "ttl": -1}', DeadReason.SCHEMA),
        (b'{"saddr": "192.0.2.1", "success": 2}', DeadReason.SCHEMA),
        (b'{"saddr": "192.0.2.1", "timestamp_ts": 253402300800}', DeadReason.SCHEMA),
        (b'{"saddr": 5, "sport": 80}', DeadReason.TARGET),
        (b'{"saddr": "192.0.2.1", "sport": true}', DeadReason.TARGET),
        (b'{"saddr": "192.0.2.1", "sport": 80.5}', DeadReason.TARGET),
        (b'{"saddr": ""}', DeadReason.TARGET),
    ],
)
def test_bad_lines(line, reason):
    with pytest.raises(RecordError) as caught:
        reader().read(line, TS)
    assert caught.value.reason is reason


HEADER = (
    "sport,saddr,daddr,dport,ttl,ipid,seqnum,acknum,window,classification,success,repeat,cooldown,"
    "tcpopt_mss,timestamp_ts,timestamp_us,unknown"
)
ROW = '443,192.0.2.1,198.51.100.7,40001,57,11,5,6,64240,synack,1,0,1,1460,1700000001,25,"a,b"'


def test_csv_under_zmaps_header():
    lines = reader(None)
    assert lines.read(HEADER.encode(), TS) is None
    hit = lines.read(ROW.encode(), TS)
    assert hit == Hit(
        scan="pipe",
        vantage="here",
        ts=1_700_000_001_000_025,
        ip="192.0.2.1",
        port=443,
        probe="input",
        classification="synack",
        cooldown=True,
        ttl=57,
        source={"ip": "198.51.100.7", "port": 40001},
        tcp={"seq": 5, "ack": 6, "window": 64240, "mss": 1460, "ipid": 11},
    )
    assert parse(hit.dump()) == hit


def test_zmaps_ip_only_output_has_a_header_or_none():
    lines = reader()
    assert [lines.read(line, TS) and lines.read(line, TS).ip for line in (b"saddr", b"192.0.2.1", b"192.0.2.2")] == [
        None,
        "192.0.2.1",
        "192.0.2.2",
    ]


def test_header_again_and_a_plain_line_behind_one():
    lines = reader()
    for line in (b"saddr,ttl", b"192.0.2.1,57", b"192.0.2.9", b"ttl,saddr,sport", b"58,192.0.2.2,22"):
        hit = lines.read(line, TS)
    assert (hit.ip, hit.port, hit.ttl) == ("192.0.2.2", 22, 58)
    assert lines.read(b"192.0.2.3:23", TS).port == 23
    with pytest.raises(RecordError, match="2 columns under a header of 3") as caught:
        lines.read(b"192.0.2.1,57", TS)
    assert caught.value.reason is DeadReason.SCHEMA


def test_unsuccessful_answers_say_so():
    lines = reader()
    lines.read(b"saddr,sport,classification,success,repeat", TS)
    hit = lines.read(b"192.0.2.1,80,rst,0,1", TS)
    assert (hit.classification, hit.success, hit.repeat) == ("rst", False, True)


def test_empty_cells_are_absent():
    lines = reader()
    lines.read(b"saddr,sport,ttl,success,seqnum,daddr,name", TS)
    hit = lines.read(b"192.0.2.1,,,,,,", TS)
    assert (hit.port, hit.ttl, hit.success, hit.tcp, hit.source, hit.name) == (80, None, True, None, None, None)


def test_zmaps_json():
    hit = read('{"saddr":"192.0.2.1","sport":443,"ttl":57,"classification":"synack","success":true,"repeat":0}')
    assert (hit.ip, hit.port, hit.ttl, hit.success, hit.repeat) == ("192.0.2.1", 443, 57, True, False)
    hit = read('{"ip":"192.0.2.1","domain":"a.example"}')
    assert (hit.ip, hit.port, hit.name) == ("192.0.2.1", 80, "a.example")
    assert read(orjson.dumps({"saddr": "192.0.2.1", "timestamp_ts": MAX_SECONDS}).decode()).dump()


def test_udp_answers_have_no_tcp():
    hit = read('{"saddr":"192.0.2.1","sport":53,"ipid":5}', transport="udp")
    assert (hit.transport, hit.tcp) == ("udp", None)


def test_our_own_records():
    hit = Hit(scan="other", ts=5, ip="192.0.2.1", port=443, tcp={"seq": 1}, rtt=0.25)
    assert read(hit.dump().decode()) == hit
    assert read(Scan(scan="other", ts=5, event="start").dump().decode()) is None
    with pytest.raises(RecordError, match="a banner, where hits are read"):
        read(
            '{"kind":"banner","v":1,"id":"i","scan":"s","ts":"2026-01-01T00:00:00Z","ip":"192.0.2.1","port":1,'
            '"probe":"wait","outcome":"ok","phase":"read"}'
        )


def test_an_echo_reply_gets_the_default_port():
    echo = Hit(scan="other", ts=5, ip="192.0.2.1", port=0, transport="icmp", probe="icmp_echoscan")
    hit = read(echo.dump().decode())
    assert (hit.port, hit.transport, hit.scan) == (80, "tcp", "other")
    assert hit.id != echo.id
    assert read(echo.dump().decode(), connects=False) == echo
    with pytest.raises(RecordError, match="no default port"):
        read(echo.dump().decode(), default_port=None)


@given(st.ip_addresses(), st.integers(1, 65535))
def test_every_form_of_a_target_is_the_same_hit(ip, port):
    one = canonical(str(ip))
    bracketed = f"[{ip}]" if ip.version == 6 else str(ip)
    hits = [read(line) for line in (f"{bracketed}:{port}", f"{ip},{port}", f"{ip},,tag,{port}")]
    assert {(hit.ip, hit.port, hit.id) for hit in hits} == {(one, port, hits[0].id)}
    assert hits[1] == read(f'"{ip}",{port}')


@given(st.lists(st.binary(max_size=60) | st.text('0123456789.:,[]{}"#-saddripotx \t', max_size=40).map(str.encode)))
def test_any_bytes_give_a_hit_nothing_or_a_record_error(lines):
    one = reader()
    for line in lines:
        try:
            hit = one.read(line, TS)
        except RecordError:
            continue
        assert hit is None or parse(hit.dump()) == hit


EXTENDED = b"synack, 77.176.116.205, 141.212.121.125, 443, 49588, 3628826326, 3441755636, 0, 0,2013-08-11 19:16:05.799"
EXTENDED_HEADER = b"response, saddr, daddr, sport, dport, seq, ack, in_cooldown, is_repeat, timestamp"


@pytest.mark.parametrize("header", [True, False])
def test_zmaps_extended_file_as_forge_socket_read_it(header: bool) -> None:
    reader = LineReader(None, "s")
    if header:
        assert reader.read(EXTENDED_HEADER, 0) is None
    hit = reader.read(EXTENDED, 0)
    assert hit is not None
    assert (hit.ip, hit.port, hit.success, hit.repeat, hit.cooldown) == ("77.176.116.205", 443, True, False, False)
    assert (hit.classification, hit.source) == ("synack", {"ip": "141.212.121.125", "port": 49588})
    assert hit.tcp == {"seq": 3628826326, "ack": 3441755636}
    assert abs(hit.ts - 1_376_248_565_799_000) <= 14 * 3_600_000_000  # its host's time zone, as ours
    assert hit.ts % 60_000_000 == 5_799_000
    refused = reader.read(EXTENDED.replace(b"synack", b"rst"), 0)
    assert refused is not None
    assert not refused.success
    again = reader.read(EXTENDED.replace(b"0, 0,", b"1, 1,"), 0)
    assert again is not None
    assert again.repeat
    assert again.cooldown


def test_an_extended_line_with_a_time_that_is_none() -> None:
    with pytest.raises(RecordError, match="timestamp is 'yesterday'"):
        LineReader(None, "s").read(EXTENDED.replace(b"2013-08-11 19:16:05.799", b"yesterday"), 0)
