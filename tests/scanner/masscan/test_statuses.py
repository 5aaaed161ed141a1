"""Answers as masscan would report them."""

from __future__ import annotations

import pytest

from stages.scanner.answers import BY_ECHO, BY_IP_ID, BY_NUMBER, ECHOREPLY, ICMP, RST, SYNACK, UDP
from stages.scanner.masscan.items import Status
from stages.scanner.masscan.statuses import status_of
from stages.scanner.rows import Answer, connected


def answer(kind: int, bound: int = 0, icmp: tuple[int, int] = (0, 0)) -> Answer:
    made = connected(0x01020304, 80, kind, ts=1_390_380_064_999_999, rtt=None, icmp=icmp)
    return made._replace(bound=bound, ttl=48)


@pytest.mark.parametrize(
    ("kind", "bound", "icmp", "wanted"),
    [
        (SYNACK, BY_NUMBER, (0, 0), ("tcp", "open", 0x12)),
        (RST, BY_NUMBER, (0, 0), ("tcp", "closed", 0x14)),
        (UDP, 0, (0, 0), ("udp", "open", 0)),
        (ECHOREPLY, BY_ECHO, (0, 0), ("icmp", "open", 0)),
        (ICMP, BY_IP_ID, (3, 3), ("udp", "closed", 0)),
    ],
)
def test_what_is_reported(kind: int, bound: int, icmp: tuple[int, int], wanted: tuple[str, str, int]) -> None:
    proto, state, reason = wanted
    assert status_of(answer(kind, bound, icmp)) == Status(1_390_380_064, "1.2.3.4", proto, 80, state, reason, 48)  # type: ignore[arg-type]


@pytest.mark.parametrize(("bound", "icmp"), [(BY_IP_ID, (3, 1)), (BY_NUMBER, (3, 3)), (BY_ECHO, (11, 0))])
def test_what_masscan_says_nothing_of(bound: int, icmp: tuple[int, int]) -> None:
    assert status_of(answer(ICMP, bound, icmp)) is None
