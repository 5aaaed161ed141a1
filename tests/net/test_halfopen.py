"""A hit's values become a row, or an error that names field and value."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import pytest

from stages.net.halfopen import HALFOPEN, half_open, row_of

TCP = {
    "seq": 4_000_000_000,
    "ack": 7,
    "window": 65_535,
    "mss": 1460,
    "wscale": 7,
    "sack": True,
    "ts_val": 5,
    "ts_ecr": 6,
}
SOURCE = {"ip": "198.51.100.2", "port": 40_000}


@dataclass
class Plain:
    ts: int = 1_700_000_000_000_000
    ip: str = "10.0.0.1"
    port: int = 80
    rtt: float | None = 0.25
    source: Any = field(default_factory=lambda: dict(SOURCE))
    tcp: Any = field(default_factory=lambda: dict(TCP))


def test_a_hit_becomes_a_row() -> None:
    row = row_of(half_open(Plain(), tag=9))
    assert row.dtype == HALFOPEN
    assert row.item() == (
        0x0A000001, 0xC6336402, 80, 40_000, 4_000_000_000, 7, 65_535, 1460, 7, 1, 1, 5, 6,
        1_700_000_000_000_000, 0.25, 9,
    )  # fmt: skip


def test_what_is_not_there_has_its_sign() -> None:
    row = row_of(half_open(Plain(rtt=None, tcp={"seq": 0, "ack": 0, "window": 0})))
    assert (row["mss"], row["wscale"], row["sack"], row["has_ts"]) == (0, -1, 0, 0)
    assert math.isnan(row["rtt"])


@pytest.mark.parametrize(
    ("hit", "text"),
    [
        (Plain(tcp=None), "tcp is None"),
        (Plain(source=None), "source is None"),
        (Plain(ip="2001:db8::1"), "ip is '2001:db8::1'"),
        (Plain(ip="host"), "ip is 'host'"),
        (Plain(ip="10.0.0.01"), "ip is '10.0.0.01'"),
        (Plain(ip="10.1"), "ip is '10.1'"),
        (Plain(ip=" 10.0.0.1"), "ip is ' 10.0.0.1'"),
        (Plain(ip="10.0.0.1\0"), "ip is '10.0.0.1"),
        (Plain(ip="10.0.0.\u0661"), "ip is '10.0.0."),
        (Plain(port=0), "port is 0"),
        (Plain(source=SOURCE | {"ip": None}), "source.ip is None"),
        (Plain(source=SOURCE | {"port": 65_536}), "source.port is 65536"),
        (Plain(tcp=TCP | {"seq": 1 << 32}), "tcp.seq is 4294967296"),
        (Plain(tcp=TCP | {"ack": -1}), "tcp.ack is -1"),
        (Plain(tcp=TCP | {"window": None}), "tcp.window is None"),
        (Plain(tcp=TCP | {"mss": True}), "tcp.mss is True"),
        (Plain(tcp=TCP | {"wscale": 300}), "tcp.wscale is 300"),
        (Plain(tcp=TCP | {"ts_val": "x"}), "tcp.ts_val is 'x'"),
        (Plain(rtt=-1.0), "rtt is -1.0"),
        (Plain(rtt=math.nan), "rtt is nan"),
        (Plain(ts=-1), "ts is -1"),
    ],
)
def test_what_cannot_be_is_named(hit: Plain, text: str) -> None:
    with pytest.raises(ValueError, match=text.replace(".", r"\.")):
        half_open(hit)
