"""Quantities as ZMap's users write them: rates, bandwidths, shares of the targets, MAC addresses. Pure."""

from __future__ import annotations

import math
import re
from fractions import Fraction
from ipaddress import IPv4Address
from typing import Final

#: What a frame occupies on the wire beside its bytes: preamble 7, delimiter 1, FCS 4, gap 12 (IEEE 802.3 clause 4).
WIRE_OVERHEAD: Final = 24

#: The shortest frame on the wire, overhead included.
MIN_WIRE: Final = 84

#: At most so many source addresses, as in ZMap.
MAX_SOURCE_IPS: Final = 256

_SI: Final = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*([KMGkmg]?)", re.ASCII).fullmatch
_FACTORS: Final = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9}
_MAC: Final = re.compile(r"[0-9A-Fa-f]{2}(?:([:-])[0-9A-Fa-f]{2})(?:\1[0-9A-Fa-f]{2}){4}", re.ASCII).fullmatch


def parse_si(text: str) -> float:
    """`10000`, `10K`, `1.5M`, `1G` with decimal factors. Raises ValueError."""
    match = _SI(text.strip())
    if match is None:
        raise ValueError("not a number such as 10000, 10K, 1.5M or 1G")
    return float(match[1]) * _FACTORS[match[2].upper()]


def parse_amount(text: str) -> tuple[float, bool]:
    """`10000` as (10000, False), `0.1%` as (0.1, True). Raises ValueError."""
    number = text.strip().removesuffix("%")
    percent = number != text.strip()
    match = _SI(number)
    if match is None or match[2] or (not percent and "." in number):
        raise ValueError("not a number of targets, or a percentage such as 0.1%")
    value = float(match[1])
    if percent and value > 100:
        raise ValueError("more than 100%")
    if value <= 0:
        raise ValueError("no targets at all")
    return value, percent


def amount_of(text: str, size: int) -> int:
    """How many of `size` targets `text` asks for: never more than there are; a percentage is of the scannable space,
    after the blocklist, rounded up. Exact: 0.1% of 1,000 is 1, whatever floats make of it."""
    _, percent = parse_amount(text)
    number = text.strip().removesuffix("%")
    return min(size, math.ceil(size * Fraction(number) / 100) if percent else int(number))


def packets_per_second(bandwidth: float, frame_bytes: float) -> float:
    """The rate at which frames of `frame_bytes` (without FCS) fill `bandwidth` bits per second of an Ethernet."""
    return bandwidth / (max(frame_bytes + WIRE_OVERHEAD, MIN_WIRE) * 8)


def parse_mac(text: str) -> bytes:
    """`02:00:00:00:00:01` as six bytes. Raises ValueError."""
    if _MAC(text.strip()) is None:
        raise ValueError("not a MAC address such as 02:00:00:00:00:01")
    return bytes.fromhex(text.strip().replace(":", "").replace("-", ""))


def parse_source_ips(text: str) -> tuple[int, ...]:
    """An address, an `a-b` range, or a comma list of both: 32-bit integers, each once. Raises ValueError."""
    addresses: dict[int, None] = {}
    for item in text.split(","):
        low, dash, high = (part.strip() for part in item.partition("-"))
        first = int(IPv4Address(low))
        last = int(IPv4Address(high)) if dash else first
        if last < first:
            raise ValueError(f"{item.strip()!r} is an inverted range")
        if last - first >= MAX_SOURCE_IPS:
            raise ValueError(f"{item.strip()!r} holds more than {MAX_SOURCE_IPS} addresses")
        addresses.update(dict.fromkeys(range(first, last + 1)))
    if len(addresses) > MAX_SOURCE_IPS:
        raise ValueError(f"more than {MAX_SOURCE_IPS} addresses")
    return tuple(addresses)
