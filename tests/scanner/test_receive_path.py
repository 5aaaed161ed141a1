"""The receive path whole, as a table: every reaction of the responder, and what a scan records of it.

`Responder` plays every case at once, each address its own; `ResponderTruth.records` says what must be recorded. Found
and expected are compared record by record: hits, repeats, ICMP errors, and nothing of what is forged.
"""

from __future__ import annotations

import csv
import io
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from stages.simnet.network import NamespacesClosed, Simnet
from stages.simnet.responder_spec import Reaction, Responder
from stages.simnet.responder_truth import Record, Transport, Wanted
from stages.simnet.spec import Spec
from tests.require import require

ROOT = Path(__file__).parents[2]
DELAY = 0.6
EVERY = {reaction.name.lower(): 1 / len(Reaction) for reaction in Reaction}
PREFIX = "10.64.0.0/20"
#: One record of a target, however often it came: (target, port, classification, success, ICMP, who sent it, his port).
Seen = tuple[str, int, str, bool, tuple[int, int] | None, str, int]


def simnet(responder: Responder) -> Iterator[Simnet]:
    made = Simnet(Spec(seed=3, servers=False, rules=False, responder=responder))
    try:
        made.start()
    except NamespacesClosed as error:
        require(False, str(error))
    with made:
        yield made


@pytest.fixture(scope="module")
def net() -> Iterator[Simnet]:
    yield from simnet(Responder((PREFIX,), EVERY, (DELAY,)))


def scan(net: Simnet, *words: str, cooldown: float = DELAY + 2.0) -> list[dict[str, str]]:
    """Every answer that a scan records."""
    argv = [
        sys.executable, "-m", "tests.servers.run_scan", "-q", "-c", str(cooldown), "-e", "5", "-r", "20000",
        "--engine", "packet", *words,
    ]  # fmt: skip
    program = net.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    out, told = program.communicate(timeout=180)
    assert program.returncode == 0, told
    return list(csv.DictReader(io.StringIO(out)))


_TCP_FIELDS = "saddr,sport,classification,success,repeat,icmp_type,icmp_code,icmp_responder,cooldown,window,tcpopt_mss"
_UDP_FIELDS = (
    "saddr,probed_port,sport,other_port,classification,success,repeat,icmp_type,icmp_code,icmp_responder,cooldown"
)
_ECHO_FIELDS = "saddr,classification,success,repeat,icmp_type,icmp_code,icmp_responder,cooldown"
#: What is sent -> (words, fields, transport).
CASES: dict[str, tuple[tuple[str, ...], str, Transport]] = {
    "tcp windows": (("-p", "80"), _TCP_FIELDS, "tcp"),
    "tcp linux, two ports": (("-p", "80,443", "--probe-args", "linux"), _TCP_FIELDS, "tcp"),
    "tcp smallest-probes": (("-p", "443", "--probe-args", "smallest-probes"), _TCP_FIELDS, "tcp"),
    "udp without a cookie": (("-p", "9", "-M", "udp", "--probe-args", "text:knock"), _UDP_FIELDS, "udp"),
    "udp cookies, two ports": (("-p", "161,5060", "-M", "udp"), _UDP_FIELDS, "udp"),
    "dns": (("-p", "53", "-M", "dns"), _UDP_FIELDS, "udp"),
    "ntp": (("-p", "123", "-M", "ntp"), _UDP_FIELDS, "udp"),
    "icmp echo": (("-M", "icmp_echoscan"), _ECHO_FIELDS, "icmp"),
    "icmp echo without a payload": (("-M", "icmp_echoscan", "--probe-args", "text:"), _ECHO_FIELDS, "icmp"),
}
#: What makes a datagram an answer, where that is more than the port it comes to.
WANTED: dict[str, Wanted] = {"udp cookies, two ports": "cookie", "dns": "question", "ntp": "cookie"}


def seen(row: dict[str, str], transport: Transport) -> Seen:
    kind = row["classification"]
    if kind in ("dns", "ntp"):  # as ZMap, they name themselves
        kind = "udp" if row["success"] == "1" else "other"
    icmp = None
    if row["icmp_type"]:
        icmp, kind = (int(row["icmp_type"]), int(row["icmp_code"])), "icmp"
    responder = row["icmp_responder"] or row["saddr"]
    port = int(row.get("probed_port") or row.get("sport", 0))
    sport = int(row.get("sport", 0))
    if transport == "udp":
        assert row["other_port"] == ("" if icmp else str(int(sport != port)))
    return row["saddr"], port, kind, row["success"] == "1", icmp, responder, sport


def expected(record: Record) -> Seen:
    name = str(IPv4Address(record.address))
    responder = str(IPv4Address(record.responder))
    return name, record.port, record.classification, record.success, record.icmp, responder, record.source_port


@pytest.mark.parametrize("case", CASES)
def test_what_a_scan_records_is_the_truth(net: Simnet, case: str) -> None:
    words, fields, transport = CASES[case]
    rows = scan(net, "-f", fields, *words, PREFIX)
    ports = [int(port) for port in words[1].split(",")] if words[0] == "-p" else [0]
    truth = net.responder_truth()
    records = [r for port in ports for r in truth.records(port, transport, WANTED.get(case, "anything"))]
    if transport == "udp" and case not in WANTED:
        # One source port of 28,233 is that of the neighbour by luck, and such a datagram is bound by no more.
        addresses = truth.addresses()
        from_neighbours = addresses[truth.reactions(addresses, ports[0], transport) == Reaction.OTHER_ADDRESS] ^ 1
        names = {str(IPv4Address(address)) for address in from_neighbours.tolist()}
        rows = [row for row in rows if row["saddr"] not in names]
        records = [record for record in records if expected(record)[0] not in names]
    assert Counter(seen(row, transport) for row in rows) == Counter(
        {expected(record): record.count for record in records}
    )
    # The first answer of a kind is none, every further one a repeat.
    first = Counter((seen(row, transport)[:2], row["success"]) for row in rows if row["repeat"] == "0")
    assert set(first.values()) == {1}
    assert len(first) == len(records)
    assert sum(row["repeat"] == "1" for row in rows) == sum(record.count - 1 for record in records) > 100


def test_the_window_and_the_options_are_those_of_the_answer(net: Simnet) -> None:
    truth = net.responder_truth()
    addresses = truth.addresses()
    kinds = dict(zip(addresses.tolist(), truth.reactions(addresses, 80).tolist(), strict=True))
    rows = scan(net, "-f", _TCP_FIELDS, "-p", "80", PREFIX)
    opened = [row for row in rows if row["classification"] == "synack"]
    assert len(opened) > 1000
    for row in opened:
        kind = Reaction(kinds[int(IPv4Address(row["saddr"]))])
        assert (row["window"] == "0") == (kind is Reaction.TARPIT)
        assert row["tcpopt_mss"] == ("" if kind is Reaction.BARE else "1460")


def test_a_late_answer_counts_until_the_cooldown_ends(net: Simnet) -> None:
    late = {expected(r)[0] for r in net.responder_truth().records(80) if r.delay}
    rows = scan(net, "-f", "saddr,cooldown", "-p", "80", PREFIX)
    came = {row["saddr"]: row["cooldown"] for row in rows if row["saddr"] in late}
    assert set(came) == late
    assert set(came.values()) == {"1"}
    # Not after it: 20,000 a second send 4,096 probes in 0.2 s, and the first of them is answered 0.6 s later.
    early = {row["saddr"] for row in scan(net, "-f", "saddr", "-p", "80", PREFIX, cooldown=0.1)}
    assert not early & late
    assert early


@pytest.mark.slow
@pytest.mark.parametrize("delay", [10.0, 60.0])
def test_a_very_late_answer_counts_too(delay: float) -> None:
    for net in simnet(Responder(("10.64.0.0/26",), {"delayed": 0.5, "synack": 0.5}, (delay,))):
        rows = scan(net, "-f", "saddr,cooldown,rtt,success", "-p", "80", "10.64.0.0/26", cooldown=delay + 2)
        assert len(rows) == 64
        late = {row["saddr"]: float(row["rtt"]) for row in rows if float(row["rtt"]) > 1}
        assert late.keys() == {expected(r)[0] for r in net.responder_truth().records(80) if r.delay}
        assert all(delay <= rtt < delay + 2 for rtt in late.values())


def test_each_probe_of_several_meets_its_own_luck() -> None:
    """With three probes and a third of all packets lost, who is found, and how often, is known from the probes."""
    for net in simnet(Responder(("10.64.0.0/22",), {"synack": 1.0}, loss=0.33)):
        rows = scan(net, "-f", "saddr,dport", "-P", "3", "-p", "80", "10.64.0.0/22")
        truth = net.responder_truth()
        addresses = truth.addresses()
        by_port = {(int(IPv4Address(row["saddr"])), int(row["dport"])) for row in rows}
        assert len(by_port) == len(rows)
        assert 0.6 < len(rows) / (3 * addresses.size) < 0.74
        answered = {address for address, _ in by_port}
        assert 0.94 < len(answered) / addresses.size < 0.98  # 1 - 0.33^3
        import numpy as np

        for address, port in by_port:
            assert not truth.lost(np.array([address], np.uint32), 80, np.array([port], np.uint16))[0]


def test_nothing_was_lost_on_the_way(net: Simnet) -> None:
    """Were the responder too slow, the comparisons above would compare nothing."""
    counters = net.responder_counters()
    bad = {name: counters[name] for name in ("ring_drops", "overflow", "invalid", "waiting") if counters[name]}
    assert not bad
    assert counters["syn"] + counters["udp"] + counters["echo"] > 0
    assert os.environ["LONGLINE_CONFINE"] == "1"
