"""Names of ports and of banners."""

from __future__ import annotations

import pytest

from stages.scanner.masscan.services import SERVICES, masscan_name, port_name, service_name, service_number


@pytest.mark.parametrize(
    ("proto", "port", "name"),
    [("tcp", 80, "http"), ("udp", 53, "domain"), ("tcp", 81, "unknown"), ("icmp", 0, "icmp"), ("sctp", 1, "sctp")],
)
def test_ports(proto: str, port: int, name: str) -> None:
    assert port_name(proto, port) == name


def test_numbers_come_back_as_the_same_name() -> None:
    for number in range(300):
        assert service_name(service_number(service_name(number))) == service_name(number)
    assert service_number("ssh") == 3
    assert service_number("tls") == 9
    assert service_number("no such thing") == service_number("(70000)") == 0
    assert len(SERVICES) == 31


def test_a_name_is_one_word() -> None:
    assert masscan_name("a b\n<c>") == "a_b__c_"
    assert masscan_name("") == "unknown"
    assert masscan_name("pop3") == "pop"
