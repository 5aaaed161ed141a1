from __future__ import annotations

import math

import pytest

from stages.scanner import probes
from stages.scanner.answers import KNOCK, SYNACK, UDP_OTHER
from stages.scanner.fields import choose, default_fields, fields_of, own_names
from stages.scanner.rows import connected
from tests.servers.answers import NOON, datagram, echo, rst, synack, unreachable

TCP = {field.name: field.get for field in fields_of("tcp_synscan")}
ECHO = {field.name: field.get for field in fields_of("icmp_echoscan")}


def test_the_whole_synack_by_zmaps_names() -> None:
    got = {name: get(synack(has_ts=1, ts_val=5, ts_ecr=6, bound=3, bits=45, attempt=2)) for name, get in TCP.items()}
    assert got == {
        "saddr": "10.0.0.1", "saddr_raw": 0x0100000A, "daddr": "192.0.2.2", "daddr_raw": 0x020200C0, "ipid": 54321,
        "ttl": 61, "sport": 80, "dport": 40000, "seqnum": 4_000_000_000, "acknum": 7, "window": 64240,
        "tcpopt_mss": 1460, "tcpopt_wscale": 128, "tcpopt_sack_perm": True, "tcpopt_ts_val": 5, "tcpopt_ts_ecr": 6,
        "classification": "synack", "success": True, "icmp_responder": None, "icmp_type": None, "icmp_code": None,
        "icmp_class": None, "icmp_unreach_str": None, "repeat": False, "cooldown": False,
        "timestamp_str": "2026-11-21T07:10:00.000+0000",
        "timestamp_ts": NOON // 10**6, "timestamp_us": 1, "rtt": 0.000123, "attempt": 2,
        "validated": "port+number", "validated_bits": 45,
    }  # fmt: skip


def test_options_that_are_not_there_are_unknown() -> None:
    bare = synack(mss=0, wscale=-1)
    assert [TCP[name](bare) for name in ("tcpopt_mss", "tcpopt_wscale", "tcpopt_ts_val")] == [None, None, None]


def test_an_icmp_error_names_the_target_and_who_sent_it() -> None:
    error = unreachable()
    assert TCP["saddr"](error) == "10.0.0.1"
    assert TCP["icmp_responder"](error) == "10.0.0.254"
    assert TCP["icmp_unreach_str"](error) == "communication admin. prohibited"
    assert TCP["success"](error) is False
    assert TCP["seqnum"](error) is None
    assert TCP["rtt"](error) is None


@pytest.mark.parametrize(
    ("kind", "code", "text"),
    [(3, 0, "network unreachable"), (3, 15, "precedence cutoff"), (3, 99, "unknown"), (11, 0, None)],
)
def test_unreachables_in_words(kind: int, code: int, text: str | None) -> None:
    assert TCP["icmp_unreach_str"](unreachable(icmp_type=kind, icmp_code=code)) == text


@pytest.mark.parametrize("probe", probes.NAMES)
@pytest.mark.parametrize(("kind", "text"), [
    (3, "unreach"), (4, "sourcequench"), (5, "redirect"), (11, "timxceed"), (12, "paramprob"),
])  # fmt: skip
def test_errors_are_classified_for_every_probe(probe: str, kind: int, text: str) -> None:
    got = {field.name: field.get(unreachable(icmp_type=kind)) for field in fields_of(probe)}
    assert got["icmp_class"] == text


def test_an_echo_reply() -> None:
    assert {name: ECHO[name](echo()) for name in ("type", "code", "icmp_id", "seq", "classification", "success")} == {
        "type": 0, "code": 0, "icmp_id": 77, "seq": 78, "classification": "echoreply", "success": True,
    }  # fmt: skip
    assert ECHO["classification"](unreachable()) == "unreach"
    assert ECHO["classification"](unreachable(icmp_type=11)) == "timxceed"
    assert ECHO["classification"](unreachable(icmp_type=12)) == "other"


def test_a_connection_has_no_synack() -> None:
    row = connected("2001:db8::1", 443, SYNACK, ts=NOON, rtt=0.5)
    got = {name: get(row) for name, get in TCP.items() if get(row) is not None}
    assert got["saddr"] == "2001:db8::1"
    assert got["sport"] == 443
    assert not {"seqnum", "window", "tcpopt_sack_perm", "ttl", "daddr", "saddr_raw"} & set(got)


TYPES = {"string": str, "int": int, "bool": bool, "float": float, "binary": str, "repeated": list}
DNS = bytes.fromhex("0102818000010001000000000161000001000101610000010001000000050004c0000201")
DATAGRAMS = [datagram(b""), datagram(DNS), datagram(b"x", kind=UDP_OTHER), unreachable()]
ECHOES = [echo(), unreachable(), unreachable(icmp_type=11)]
TCPS = [synack(), rst(), unreachable(), synack(rtt=math.nan), rst(kind=KNOCK)]
ANSWERS = {"tcp_synscan": TCPS, "tcp_synackscan": TCPS, "icmp_echoscan": ECHOES, "icmp_echo_time": ECHOES}


@pytest.mark.parametrize("probe", probes.NAMES)
def test_values_are_of_the_type_that_is_declared(probe: str) -> None:
    for answer in ANSWERS.get(probe, DATAGRAMS):
        for field in fields_of(probe):
            value = field.get(answer)
            assert value is None or type(value) is TYPES[field.type], (field.name, value)


def test_what_an_echo_brings_back() -> None:
    fields = {field.name: field.get for field in fields_of("icmp_echo_time")}
    seconds, micro = 1_795_245_000, 123_000
    payload = seconds.to_bytes(4, "big") + micro.to_bytes(4, "big") + bytes([10, 0, 0, 1])
    reply = echo(data_at=0, data_size=12)._replace(data=payload)
    names = ("sent_timestamp_ts", "sent_timestamp_us", "dst_raw", "recv_timestamp_ts", "recv_timestamp_us", "rtt_us")
    assert [fields[name](reply) for name in names] == [seconds, micro, 0x0100000A, NOON // 10**6, 1, 123]
    assert fields["data"](reply) == payload.hex()
    assert fields["sent_timestamp_ts"](reply._replace(data=b"short")) is None
    assert fields["rtt_us"](echo(rtt=math.nan)) is None


#: What ZMap 4 has, module by module (src/probe_modules).
COMMON = {"saddr", "saddr_raw", "daddr", "daddr_raw", "ipid", "ttl", "classification", "success", "repeat", "cooldown",
          "timestamp_str", "timestamp_ts", "timestamp_us"}  # fmt: skip
ICMP_NAMES = {"icmp_responder", "icmp_type", "icmp_code", "icmp_unreach_str"}
ZMAP = {
    "tcp_synscan": {"sport", "dport", "seqnum", "acknum", "window", "tcpopt_mss", "tcpopt_wscale", "tcpopt_sack_perm",
                    "tcpopt_ts_val", "tcpopt_ts_ecr", *ICMP_NAMES},
    "tcp_synackscan": {"sport", "dport", "seqnum", "acknum", "window", *ICMP_NAMES},
    "icmp_echoscan": {"type", "code", "icmp_id", "seq", "data"},
    "icmp_echo_time": {"type", "code", "icmp_id", "seq", "sent_timestamp_ts", "sent_timestamp_us", "recv_timestamp_ts",
                       "recv_timestamp_us", "rtt_us", "dst_raw"},
    "udp": {"sport", "dport", "udp_pkt_size", "data", *ICMP_NAMES},
    "ntp": {"sport", "dport", "LI_VN_MODE", "stratum", "poll", "precision", "root_delay", "root_dispersion",
            "reference_clock_identifier", "reference_timestamp", "originate_timestamp", "receive_timestamp",
            "transmit_timestamp", *ICMP_NAMES},
    "upnp": {"sport", "dport", "server", "location", "usn", "st", "ext", "cache_control", "x_user_agent", "agent",
             "date", "data", *ICMP_NAMES},
    "dns": {"sport", "dport", "app_success", "udp_len", "dns_id", "dns_rd", "dns_tc", "dns_aa", "dns_opcode", "dns_qr",
            "dns_rcode", "dns_cd", "dns_ad", "dns_z", "dns_ra", "dns_qdcount", "dns_ancount", "dns_nscount",
            "dns_arcount", "dns_questions", "dns_answers", "dns_authorities", "dns_additionals", "dns_parse_err",
            "dns_unconsumed_bytes", "raw_data", *ICMP_NAMES},
}  # fmt: skip


@pytest.mark.parametrize("probe", probes.NAMES)
def test_all_fields_of_zmaps_module_are_there(probe: str) -> None:
    names = [field.name for field in fields_of(probe)]
    assert len(set(names)) == len(names)
    assert set(names) >= COMMON | ZMAP[probe]
    assert own_names(probe) == tuple(name for name in names if name in own_names(probe))


def test_defaults() -> None:
    assert [field.name for field in default_fields("tcp_synscan", 1)] == ["saddr"]
    assert [field.name for field in default_fields("tcp_synscan", 2)] == ["saddr", "sport"]
    assert [field.name for field in default_fields("icmp_echoscan", 1)] == ["saddr"]


def test_choosing() -> None:
    assert [field.name for field in choose("ttl, saddr", "tcp_synscan")] == ["ttl", "saddr"]
    assert choose("*", "icmp_echoscan") == fields_of("icmp_echoscan")
    with pytest.raises(ValueError, match="tcp_synscan has no field 'sadr'; did you mean 'saddr'"):
        choose("sadr", "tcp_synscan")
    with pytest.raises(ValueError, match="has no field ''"):
        choose("saddr,", "tcp_synscan")
    with pytest.raises(ValueError, match="icmp_echoscan has no field 'window'"):
        choose("window", "icmp_echoscan")


def test_names_of_old_manuals_stay_as_they_were_asked_for() -> None:
    """The older manual's example: its names stand in the header, and mean what they are called now."""
    chosen = choose("response,saddr,daddr,sport,seq,ack,in_cooldown,is_repeat,timestamp,saddr-raw", "tcp_synscan")
    row = synack(address="10.0.0.1", seq=5, ack=6)
    assert [field.name for field in chosen][:9] == [
        "response", "saddr", "daddr", "sport", "seq", "ack", "in_cooldown", "is_repeat", "timestamp"
    ]  # fmt: skip
    assert [field.get(row) for field in chosen] == [
        "synack", "10.0.0.1", "192.0.2.2", 80, 5, 6, False, False, "2026-11-21 07:10:00.000", 0x0100000A
    ]  # fmt: skip
    assert choose("seq", "icmp_echoscan")[0].help == "sequence number"  # a field of its own there
