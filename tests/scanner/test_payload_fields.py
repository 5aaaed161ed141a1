"""What the fields of all UDP modules have in common; each module's own are in its test."""

from __future__ import annotations

import pytest

from stages.scanner.answers import UDP_OTHER
from stages.scanner.fields import fields_of
from tests.servers.answers import datagram, unreachable

UDP = {field.name: field.get for field in fields_of("udp")}


def values(answer, *names: str) -> list[object]:  # type: ignore[no-untyped-def]
    return [UDP[name](answer) for name in names]


def test_a_datagram() -> None:
    answer = datagram(b"\x00\xff", port=53)
    assert values(answer, "classification", "success", "sport", "probed_port", "other_port") == [
        "udp", True, 53, 53, False,
    ]  # fmt: skip
    assert values(answer, "udp_pkt_size", "data", "truncated") == [10, "00ff", False]


def test_from_another_port() -> None:
    assert values(datagram(b"", port=69, sport=4000), "sport", "probed_port", "other_port") == [4000, 69, True]


def test_cut_off() -> None:
    assert values(datagram(b"abc", size=3000), "udp_pkt_size", "truncated") == [3008, True]


def test_something_else() -> None:
    assert values(datagram(b"", kind=UDP_OTHER), "classification", "success") == ["other", False]


@pytest.mark.parametrize("probe", ["udp", "dns", "ntp", "upnp"])
def test_an_icmp_error(probe: str) -> None:
    got = {field.name: field.get(unreachable()) for field in fields_of(probe)}
    assert (got["classification"], got["success"], got["sport"]) == ("icmp", False, 80)
    assert (got["icmp_type"], got["icmp_code"], got["icmp_responder"]) == (3, 13, "10.0.0.254")
    assert got.get("data") is None
    assert got.get("dns_answers") is None
    assert got["other_port"] is None
