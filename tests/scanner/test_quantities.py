from __future__ import annotations

import pytest

from stages.scanner.quantities import (
    amount_of,
    packets_per_second,
    parse_amount,
    parse_mac,
    parse_si,
    parse_source_ips,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [("10000", 1e4), ("10K", 1e4), ("1.5M", 1.5e6), ("200G", 2e11), (".5k", 500), ("2 M", 2e6), ("1.", 1)],
)
def test_rates_and_bandwidths(text: str, value: float) -> None:
    assert parse_si(text) == value


@pytest.mark.parametrize("text", ["", "M", "-1", "1e6", "1Mi", "10T", "1,5M", "0x10"])
def test_what_is_no_rate(text: str) -> None:
    with pytest.raises(ValueError, match="not a number"):
        parse_si(text)


@pytest.mark.parametrize(
    ("text", "size", "targets"),
    [
        ("1000", 256, 256),
        ("100", 256, 100),
        ("50%", 256, 128),
        ("0.1%", 256, 1),  # rounded up: a share is never nothing
        ("100%", 2**48, 2**48),
        ("281474976710655", 2**48, 2**48 - 1),  # exact beyond 2^53
        ("33.3%", 1000, 333),
        ("0.1%", 1000, 1),  # a float has a little more than a thousandth
        ("0.7%", 2**48 - 1, 1970324836975),  # the float is off by many
    ],
)
def test_amounts_of_the_scannable_space(text: str, size: int, targets: int) -> None:
    assert amount_of(text, size) == targets


@pytest.mark.parametrize(
    ("text", "problem"),
    [("abc", "not a number"), ("1.5", "not a number"), ("101%", "more than 100%"), ("0", "no targets"),
     ("0%", "no targets"), ("10K", "not a number"), ("-5", "not a number"), ("", "not a number")],
)  # fmt: skip
def test_what_is_no_amount(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        parse_amount(text)


def test_bandwidth_counts_what_is_on_the_wire_as_zmap_does() -> None:
    assert (
        int(packets_per_second(10e6, 58)) == 14880
    )  # the manual's `using bandwidth 10000000 bits/s, rate set to 14880`
    assert packets_per_second(1e9, 74) == pytest.approx(1e9 / (98 * 8))


def test_mac_addresses() -> None:
    assert parse_mac("02:00:00:00:00:fF") == b"\x02\0\0\0\0\xff"
    assert parse_mac("02-00-00-00-00-01") == b"\x02\0\0\0\0\x01"
    for text in ("02:00:00:00:00", "02:00:00:00:00:0g", "02:00-00:00:00:01", "020000000001", ""):
        with pytest.raises(ValueError, match="not a MAC"):
            parse_mac(text)


def test_source_addresses() -> None:
    base = 192 << 24 | 2 << 8
    assert parse_source_ips("192.0.2.1") == (base + 1,)
    assert parse_source_ips("192.0.2.1-192.0.2.3, 192.0.2.9,192.0.2.1") == (base + 1, base + 2, base + 3, base + 9)
    assert len(parse_source_ips("192.0.2.0-192.0.2.255")) == 256


@pytest.mark.parametrize(
    "text", ["192.0.2.3-192.0.2.1", "192.0.2.256", "", "::1", "10.0.0.0-10.0.1.0", "10.0.0.0-10.0.0.255,192.0.2.1"]
)
def test_bad_source_addresses(text: str) -> None:
    with pytest.raises(ValueError):
        parse_source_ips(text)
