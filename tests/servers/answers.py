"""Answers as an engine would deliver them, for tests of what comes behind it."""

from __future__ import annotations

import math
from ipaddress import IPv4Address
from typing import Any

import numpy as np

from stages.scanner.answers import ANSWER, ECHOREPLY, ICMP, RST, SYNACK, UDP, AnswerArray, with_payload
from stages.scanner.rows import Answer, rows

#: 2026-11-21T07:10:00.000001Z
NOON = 1_795_245_000_000_001


def array(*given: dict[str, Any]) -> AnswerArray:
    """An ANSWER array: a whole SYN-ACK from 10.0.0.1:80, with the fields given instead. Addresses may be text."""
    made = np.zeros(len(given), ANSWER)
    usual = {
        "ts": NOON, "rtt": 0.000123, "saddr": "10.0.0.1", "daddr": "192.0.2.2", "seq": 4_000_000_000, "ack": 7,
        "responder": "10.0.0.1", "address": "10.0.0.1", "sport": 80, "dport": 40_000, "port": 80, "window": 64_240,
        "ipid": 54_321, "mss": 1460, "wscale": 7, "sack": 1, "ttl": 61, "kind": SYNACK,
    }  # fmt: skip
    for row, fields in zip(made, given, strict=True):
        for name, value in {**usual, **fields}.items():
            row[name] = int(IPv4Address(value)) if isinstance(value, str) else value
    return made


def answer(**fields: Any) -> Answer:
    """One row; see `array`. `address` alone also sets `saddr` and `responder`, `port` also `sport`."""
    if "address" in fields:
        fields = {"saddr": fields["address"], "responder": fields["address"], **fields}
    if "port" in fields:
        fields = {"sport": fields["port"], **fields}
    return rows(array(fields))[0]


def synack(**fields: Any) -> Answer:
    return answer(**fields)


def rst(**fields: Any) -> Answer:
    return answer(**{"kind": RST, "mss": 0, "wscale": -1, "sack": 0, "window": 0, "seq": 0, **fields})


def unreachable(**fields: Any) -> Answer:
    return answer(
        **{
            "kind": ICMP, "icmp_type": 3, "icmp_code": 13, "responder": "10.0.0.254", "saddr": "10.0.0.254",
            "rtt": math.nan, **fields,
        }
    )  # fmt: skip


def echo(**fields: Any) -> Answer:
    return answer(**{"kind": ECHOREPLY, "ack": 77, "seq": 78, "port": 0, "sport": 0, "dport": 0, **fields})


def datagram(data: bytes, **fields: Any) -> Answer:
    """A datagram with `data` from 10.0.0.1:80; `size` and `sport` as given."""
    given = {"kind": UDP, "size": len(data), "data_size": len(data), "data_at": 3, "seq": 0, "ack": 0, **fields}
    if "port" in given:
        given = {"sport": given["port"], **given}
    return rows(with_payload(array(given), b"abc" + data))[0]
