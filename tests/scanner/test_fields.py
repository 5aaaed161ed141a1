from __future__ import annotations

import math

import pytest

from stages.scanner import probes
from stages.scanner.answers import SYNACK
from stages.scanner.fields import BY_PROBE, choose, default_fields
from stages.scanner.rows import Answer, connected
from tests.servers.answers import NOON, echo, rst, synack, unreachable

TCP = {field.name: field.get for field in BY_PROBE["tcp_synscan"]}
ECHO = {field.name: field.get for field in BY_PROBE["icmp_echoscan"]}


def test_the_whole_synack_by_zmaps_names() -> None:
    got = {name: get(synack(has_ts=1, ts_val=5, ts_ecr=6)) for name, get in TCP.items()}
    assert got == {
        "saddr": "10.0.0.1", "saddr_raw": 0x0100000A, "daddr": "192.0.2.2", "daddr_raw": 0x020200C0, "ipid": 54321,
        "ttl": 61, "sport": 80, "dport": 40000, "seqnum": 4_000_000_000, "acknum": 7, "window": 64240,
        "tcpopt_mss": 1460, "tcpopt_wscale": 128, "tcpopt_sack_perm": True, "tcpopt_ts_val": 5, "tcpopt_ts_ecr": 6,
        "classification": "synack", "success": True, "icmp_responder": None, "icmp_type": None, "icmp_code": None,
        "icmp_unreach_str": None, "repeat": False, "cooldown": False, "timestamp_str": "2026-11-21T07:10:00.000+0000",
        "timestamp_ts": NOON // 10**6, "timestamp_us": 1, "rtt": 0.000123,
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


@pytest.mark.parametrize("answer", [synack(), rst(), unreachable(), synack(rtt=math.nan)])
def test_values_are_of_the_type_that_is_declared(answer: Answer) -> None:
    types = {"string": str, "int": int, "bool": bool, "float": float}
    for fields in BY_PROBE.values():
        for field in fields:
            value = field.get(answer)
            assert value is None or type(value) is types[field.type], field.name


def test_defaults() -> None:
    assert [field.name for field in default_fields("tcp_synscan", 1)] == ["saddr"]
    assert [field.name for field in default_fields("tcp_synscan", 2)] == ["saddr", "sport"]
    assert [field.name for field in default_fields("icmp_echoscan", 1)] == ["saddr"]


def test_choosing() -> None:
    assert [field.name for field in choose("ttl, saddr", "tcp_synscan")] == ["ttl", "saddr"]
    assert choose("*", "icmp_echoscan") == BY_PROBE["icmp_echoscan"]
    with pytest.raises(ValueError, match="tcp_synscan has no field 'sadr'; did you mean 'saddr'"):
        choose("sadr", "tcp_synscan")
    with pytest.raises(ValueError, match="has no field ''"):
        choose("saddr,", "tcp_synscan")
    with pytest.raises(ValueError, match="icmp_echoscan has no field 'window'"):
        choose("window", "icmp_echoscan")


def test_every_probe_has_fields() -> None:
    assert set(BY_PROBE) == set(probes.NAMES)
