from __future__ import annotations

import pytest

from stages.core.errors import UsageError
from stages.core.routing import TLS_PORTS, Routing, parse_ports


@pytest.mark.parametrize(
    ("text", "ports"),
    [
        ("80", {80}),
        ("0", {0}),
        ("65535", {65_535}),
        ("80,443", {80, 443}),
        (" 80 , 443 ", {80, 443}),
        ("8000-8003,80", {80, 8000, 8001, 8002, 8003}),
        ("7-7", {7}),
        ("80,80,79-81", {79, 80, 81}),
    ],
)
def test_parse_ports(text: str, ports: set[int]) -> None:
    assert parse_ports(text) == ports


def test_all_ports() -> None:
    assert parse_ports("*") == frozenset(range(65_536))


@pytest.mark.parametrize(
    ("text", "item"),
    [
        ("70000", "70000"),
        ("abc", "abc"),
        ("", ""),
        ("80,", ""),
        ("90-80", "90-80"),
        ("1-70000", "1-70000"),
        ("-5", "-5"),
        ("80-", "80-"),
        ("1-2-3", "1-2-3"),
        ("٣", "٣"),
        ("+80", "+80"),
        ("9" * 11, "9" * 11),
    ],
)
def test_bad_ports_name_the_option_and_the_item(text: str, item: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_ports(text, "-p/--ports")
    assert (caught.value.place, caught.value.value) == ("-p/--ports", item)


def test_on_a_shared_log_every_port_has_exactly_one_stage() -> None:
    tls = Routing.for_tls(None, shared=True)
    banners = Routing.for_banners(None, shared=True)
    assert all(tls.takes(port) is not banners.takes(port) for port in range(65_536))
    assert {port for port in range(65_536) if tls.takes(port)} == TLS_PORTS
    assert {443, 465, 636, 853, 989, 990, 992, 993, 994, 995, 5061, 8443} <= TLS_PORTS


def test_a_pipe_is_taken_whole() -> None:
    assert all(Routing.for_tls(None, shared=False).takes(port) for port in (0, 80, 443))
    assert all(Routing.for_banners(None, shared=False).takes(port) for port in (0, 80, 443))


@pytest.mark.parametrize("shared", [True, False])
def test_what_is_asked_for_wins(shared: bool) -> None:
    for make in (Routing.for_tls, Routing.for_banners):
        some = make("80,443", shared=shared)
        assert [some.takes(port) for port in (80, 443, 81)] == [True, True, False]
        assert make("*", shared=shared).takes(443)
    assert Routing.of([25]).takes(25)
    assert not Routing.of([25]).takes(26)
    assert Routing.everything().takes(26)
