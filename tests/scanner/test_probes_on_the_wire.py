"""Probes over UDP and the SYN-ACK scan against real stacks: the whole command, from settings to fields."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.servers.veth import Veth, veth

PREFIX = "10.0.0.0/26"
HOSTS = {f"10.0.0.{n}" for n in range(64)}
SERVED = ("53=echo", "123=ntp", "69=other", "161=forge")


@pytest.fixture(scope="module")
def pair() -> Iterator[Veth]:
    with veth() as made:
        # One port unreachable for each probe, please (icmp(7)).
        made.far("sysctl", "-qw", "net.ipv4.icmp_ratelimit=0")
        with made.program(made.far_pid, sys.executable, "-m", "tests.servers.datagrams", *SERVED, ready="ready"):
            yield made


def scan(pair: Veth, *argv: str) -> list[dict[str, Any]]:
    whole = ["-m", "stages.cli.main", "scan", "-q", "-c", "1", "-r", "2000", "-O", "json", "-f", "*", *argv, PREFIX]
    return [json.loads(line) for line in pair.near(sys.executable, *whole).stdout.splitlines()]


def test_a_text(pair: Veth) -> None:
    rows = scan(pair, "-M", "udp", "-p", "53,54", "--probe-args", "text:hello")
    open_, closed = ([row for row in rows if row["success"] is right] for right in (True, False))
    assert {row["saddr"] for row in open_} == {row["saddr"] for row in closed} == HOSTS
    assert {(row["sport"], row["data"], row["classification"]) for row in open_} == {(53, b"he\xeclo".hex(), "udp")}
    assert {(row["udp_pkt_size"], row["validated"], row["other_port"]) for row in open_} == {(13, "port", False)}
    assert {(row["sport"], row["classification"], row["icmp_type"], row["icmp_code"]) for row in closed} == {
        (54, "icmp", 3, 3)
    }
    assert {(row["icmp_unreach_str"], row["validated"]) for row in closed} == {("port unreachable", "port+ipid")}
    assert len(rows) == 128


def test_dns(pair: Veth) -> None:
    rows = scan(pair, "-M", "dns", "-p", "53", "-P", "2", "--probe-args", "A,aa.example;AAAA,bb.example")
    assert {(row["saddr"], row["attempt"]) for row in rows} == {(host, k) for host in HOSTS for k in (0, 1)}
    for row in rows:
        assert (row["classification"], row["success"], row["app_success"], row["validated"]) == (
            "dns", True, True, "port+cookie",
        )  # fmt: skip
        assert row["dns_questions"][0]["name"] == ("aa.example", "bb.example")[row["attempt"]]
        assert row["dns_parse_err"] == 0
    assert len({row["dns_id"] for row in rows}) > 50


def test_ntp(pair: Veth) -> None:
    rows = scan(pair, "-M", "ntp", "-p", "123")
    assert {row["saddr"] for row in rows} == HOSTS
    assert {(row["stratum"], row["precision"], row["transmit_timestamp"]) for row in rows} == {
        (1, -23, int.from_bytes(bytes(range(8)), "big"))
    }
    assert len({row["originate_timestamp"] for row in rows}) == 64
    assert all(row["validated_bits"] > 64 for row in rows)


def test_first_datagrams_by_port_have_their_own_lengths(pair: Veth) -> None:
    rows = scan(pair, "-M", "udp", "-p", "53,69,123,54", "-P", "2")
    answered = {(row["saddr"], row["probed_port"]) for row in rows if row["success"]}
    assert answered == {(host, port) for host in HOSTS for port in (53, 69, 123)}
    sizes = {(row["probed_port"], row["udp_pkt_size"]) for row in rows if row["success"]}
    assert sizes == {(53, 8 + 30), (69, 8 + 21), (123, 8 + 48)}
    by = {row["probed_port"]: row["validated"] for row in rows if row["success"]}
    assert by == {53: "port+cookie", 69: "port", 123: "port+cookie"}
    assert {row["saddr"] for row in rows if row.get("icmp_class") == "unreach"} == HOSTS


def test_a_template_of_many_lengths(pair: Veth, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("t") / "probe.tpl"
    file.write_text("..${SADDR} ${SPORT} ${DADDR} ${DPORT} ${RAND_DIGIT=5}")
    rows = scan(pair, "-M", "udp", "-p", "53", "--probe-args", f"template:{file}", "-T", "2")
    assert {row["saddr"] for row in rows} == HOSTS
    for row in rows:
        said = bytes.fromhex(row["data"])[3:].decode().split(" ")
        assert said[1:4] == [str(row["dport"]), row["saddr"], "53"]
        assert said[4].isdigit()
        assert len(said[4]) == 5
    assert len({row["udp_pkt_size"] for row in rows}) > 1


def test_answers_from_another_port_are_marked(pair: Veth) -> None:
    rows = scan(pair, "-M", "udp", "-p", "69", "--probe-args", "hex:000161006f6374657400")
    assert {row["saddr"] for row in rows} == HOSTS
    assert {(row["probed_port"], row["other_port"], row["success"]) for row in rows} == {(69, True, True)}
    assert {row["sport"] for row in rows} != {69}


def test_what_carries_no_cookie_does_not_pass(pair: Veth) -> None:
    rows = scan(pair, "-M", "dns", "-p", "161", "--dedup-method", "none")
    assert {row["saddr"] for row in rows} == HOSTS
    assert len(rows) == 64  # of two datagrams from each host the forged one is not there


def test_hits_have_the_payload(pair: Veth) -> None:
    argv = ["scan", "-q", "-c", "1", "-M", "udp", "-p", "53", "--probe-args", "text:hello", "-O", "hits", PREFIX]
    out = pair.near(sys.executable, "-m", "stages.cli.main", *argv).stdout
    hits = [json.loads(line) for line in out.splitlines()]
    assert {hit["ip"] for hit in hits} == HOSTS
    for hit in hits:
        assert (hit["transport"], hit["probe"], hit["classification"], hit["success"]) == ("udp", "udp", "udp", True)
        assert base64.b64decode(hit["udp"]["data"]) == b"he\xeclo"
        assert (hit["udp"]["size"], hit["udp"]["truncated"], hit["udp"]["port"]) == (5, False, 53)
        assert (hit["source"]["validated"], hit["tcp"], hit["icmp"]) == ("port", None, None)


def test_synacks_out_of_nowhere(pair: Veth) -> None:
    rows = scan(pair, "-M", "tcp_synackscan", "-p", "80")
    assert {(row["saddr"], row["classification"], row["success"]) for row in rows} == {(h, "rst", True) for h in HOSTS}


def test_echoes_with_the_time(pair: Veth) -> None:
    rows = scan(pair, "-M", "icmp_echo_time")
    assert {row["saddr"] for row in rows} == HOSTS
    for row in rows:
        sent = row["sent_timestamp_ts"] * 10**6 + row["sent_timestamp_us"]
        received = row["recv_timestamp_ts"] * 10**6 + row["recv_timestamp_us"]
        assert -1000 <= received - sent < 60 * 10**6
        assert 0 <= row["rtt_us"] < 60 * 10**6
        assert row["dst_raw"] == row["saddr_raw"]


@pytest.mark.parametrize(("argv", "problem"), [
    (["-M", "udp", "-p", "53", "--probe-args", "text:" + "x" * 1473], "1472 fit"),
    (["-M", "udp", "-p", "53", "--probe-args", "template:/nowhere"], "No such file"),
    (["-M", "dns", "-p", "53", "--probe-args", "NOPE,a"], "no DNS type 'NOPE'"),
    (["-M", "udp"], "needs to know which ports"),
    (["-M", "icmp_echo_time", "-p", "80"], "has no ports"),
    (["-M", "magic", "-p", "80"], "magic"),
])  # fmt: skip
def test_bad_input(pair: Veth, argv: list[str], problem: str) -> None:
    def counted() -> int:
        return int(pair.near("sh", "-c", "awk '/near0/ {print $11}' /proc/net/dev").stdout)

    before = counted()
    ran = pair.near(sys.executable, "-m", "stages.cli.main", "scan", "-q", "-c", "0", *argv, PREFIX, check=False)
    assert ran.returncode == 2, ran.stderr
    assert problem in ran.stderr
    assert counted() < before + len(HOSTS) // 2  # what the kernel says of itself, and no probe


def test_an_unknown_template_field_is_named(pair: Veth, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("t") / "bad.tpl"
    file.write_text("${SADDR} ${SADR}")
    argv = ["scan", "-q", "-M", "udp", "-p", "53", "--probe-args", f"template:{file}", PREFIX]
    ran = pair.near(sys.executable, "-m", "stages.cli.main", *argv, check=False)
    assert ran.returncode == 2
    assert "no template field 'SADR'" in ran.stderr
