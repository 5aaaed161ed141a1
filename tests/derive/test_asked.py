from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest

from stages.core.settings import ListSettings
from stages.derive.asked import asked, is_scan, unfinished
from stages.scanner.prepare import prepare
from stages.scanner.probes import entry
from stages.scanner.settings import ScannerSettings


def address(ip: str) -> bytes:
    packed = ip_address(ip).packed
    return packed if len(packed) == 16 else bytes(10) + b"\xff\xff" + packed


def scan(**spec: Any) -> dict[str, Any]:
    return {"_id": "s", "start": {"ts": 1, "spec": {"ports": "80,443", **spec}}}


def recorded(**more: object) -> dict[str, Any]:
    """As the scanner writes it."""
    settings = ScannerSettings.model_validate({"scan": "s", "seed": 1, **more})
    spec = prepare(settings, ListSettings(default_blocklist=False), now_us=0, resolve=None, probing=False).spec
    return {"_id": "s", "start": {"spec": spec.record()}}


def test_what_a_scan_records_is_read_back() -> None:
    said = asked(recorded(targets=("10.0.0.0/30", "10.0.9.1"), target_ports="80,443-445", probes=2, retries=3))
    assert (said.exact, said.why, said.attempts, said.per_address) == (True, "", 8, 4)
    for ip, port, holds in (
        ("10.0.0.3", 80, True),
        ("10.0.9.1", 444, True),
        ("10.0.0.4", 80, False),
        ("10.0.0.3", 81, False),
        ("2001:db8::1", 80, False),
    ):
        assert said.holds(address(ip), port, "tcp") is holds


def test_a_mixed_scan_has_the_ports_of_all_its_parts() -> None:
    said = asked(recorded(targets=("10.0.0.0/30",), probe=("tcp_synscan:80,81", "udp:53", "icmp_echoscan")))
    assert (said.ports, said.per_address) == (frozenset({0, 53, 80, 81}), 4)
    assert asked(recorded(targets=("10.0.0.0/30",), probe_module="icmp_echoscan")).ports is None
    assert asked(recorded(targets=("10.0.0.1",), target_ports="*")).per_address == 65_536


@pytest.mark.parametrize(
    ("record", "known", "why"),
    [
        ({}, False, "its start is not recorded"),
        (scan(), False, "no targets"),
        (scan(ranges=None, targets=["www.example.org"]), False, "names"),
        (scan(ranges=None, targets=["10.0.0.0/8"]), True, "as written"),
        (scan(ranges=None, targets=[]), True, "as written"),
        (scan(ranges=None, targets=[], list_of_ips_file="x"), False, "list of addresses"),
        (scan(ranges=["nonsense!"]), False, "cannot be read"),
    ],
)
def test_what_the_record_does_not_say_is_not_guessed(record: dict[str, Any], known: bool, why: str) -> None:
    said = asked(record)
    assert (said.networks is not None) is known
    assert why in said.why
    assert not said.exact or not known
    assert said.holds(address("10.0.0.1"), 80, "tcp")


def test_a_spec_of_a_stranger() -> None:
    for ports in ("http", "1-99999999999", "9-1"):
        said = asked(scan(ranges=["10.0.0.0/8"], ports=ports, probes="many", retries=None))
        assert (said.ports, said.attempts, said.per_address) == (None, 1, 65_536)


DONE = {"end": {"position": 8, "counters": {"complete": True}}}


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({}, "it has no end"),
        ({"progress": {"position": 3}}, "seen at 3 of 8"),
        ({"end": {"position": 5, "counters": {"complete": False, "reason": "max-runtime"}}}, "5 of 8 (max-runtime)"),
        ({"end": {"position": 5, "counters": {"sent": 5}}}, "it ended at 5 of 8"),
        ({"end": {"position": 8, "counters": {"complete": True, "hits_dropped": 2}}}, "2 of its hits"),
        (DONE, ""),
    ],
)
def test_a_scan_that_did_not_ask_all(more: dict[str, Any], why: str) -> None:
    said = unfinished({**scan(size=8, last=8), **more})
    assert why in said
    assert bool(said) is bool(why)


def test_a_part_of_a_scan() -> None:
    assert "3 shards" in unfinished({**scan(size=8, last=8, shards=3), **DONE})
    assert "8 of 20 targets" in unfinished({**scan(size=20, last=8), **DONE})
    assert unfinished({**scan(size=str(2**64), last=8), **DONE}) != ""


@pytest.mark.parametrize(
    ("events", "yes"),
    [((), True), (("start",), True), (("progress", "assessed"), True), (("assessed",), False)],
)
def test_what_was_made_of_several_scans_is_none(events: tuple[str, ...], yes: bool) -> None:
    assert is_scan({"_id": "s", **{event: {} for event in events}}) is yes


@pytest.mark.parametrize(
    ("more", "held"),
    [
        (
            {"probe": ("tcp_synscan:80,53", "udp:53", "icmp_echoscan")},
            {("tcp", 80), ("tcp", 53), ("udp", 53), ("icmp", 0)},
        ),
        ({"probe": ("tcp_synscan:80", "tcp_synackscan:81")}, {("tcp", 80), ("tcp", 81)}),
        ({"probe_module": "icmp_echoscan"}, {("icmp", 0)}),
        ({"target_ports": "53"}, {("tcp", 53)}),
    ],
)
def test_what_was_asked_by_one_transport_was_not_by_another(more: dict[str, Any], held: set[tuple[str, int]]) -> None:
    record = recorded(targets=("10.0.0.0/30",), **more)
    ones = [("tcp", 80), ("tcp", 81), ("tcp", 53), ("udp", 53), ("udp", 80), ("icmp", 0)]
    for known in (True, False):
        said = asked(record, lambda probe: entry(probe).transport) if known else asked(record)
        found = {(transport, port) for transport, port in ones if said.holds(address("10.0.0.1"), port, transport)}
        assert found == held if known else found >= held, "what is not known may have been asked"
