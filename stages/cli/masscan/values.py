"""Values as masscan's users write them: ports with prefixes, ranges of addresses, times, shards, MAC addresses. Pure.

All raise ValueError with the problem; who reads them knows the place and names the value.
"""

from __future__ import annotations

import math
import re
from ipaddress import IPv4Address, ip_address, ip_network, summarize_address_range
from typing import Final

from stages.scanner.ports import MAX_PORT, parse_ports

#: Most scanned ports, most first, as port scanners have them by how often they are open.
TOP_PORTS: Final = (
    80, 23, 443, 21, 22, 25, 3389, 110, 445, 139, 143, 53, 135, 3306, 8080, 1723, 111, 995, 993, 5900, 1025, 587, 8888,
    199, 1720, 465, 548, 113, 81, 6001, 10000, 514, 5060, 179, 1026, 2000, 8443, 8000, 32768, 554, 26, 1433, 49152,
    2001, 515, 8008, 49154, 1027, 5666, 646, 5000, 5631, 631, 49153, 8081, 2049, 88, 79, 5800, 106, 2121, 1110, 49155,
    6000, 513, 990, 5357, 427, 49156, 543, 544, 5101, 144, 7, 389, 8009, 3128, 444, 9999, 5009, 7070, 5190, 3000, 5432,
    1900, 3986, 13, 1029, 9, 5051, 6646, 49157, 1028, 873, 1755, 2717, 4899, 9100, 119, 37,
)  # fmt: skip

#: masscan's, without a number.
DEFAULT_TOP: Final = 20

_NUMBER: Final = re.compile(r"[0-9]{1,20}", re.ASCII).fullmatch
_DECIMAL: Final = re.compile(r"[0-9]{1,20}(\.[0-9]{0,20})?|\.[0-9]{1,20}", re.ASCII).fullmatch
_TIME: Final = re.compile(r"([0-9]{1,15}(?:\.[0-9]*)?)\s*([a-z]*)", re.ASCII).fullmatch
_SIZE: Final = re.compile(r"([0-9]{1,15})\s*([kmgt]?)b?", re.ASCII).fullmatch
_UNITS: Final = {
    "": 1, "s": 1, "sec": 1, "secs": 1, "second": 1, "seconds": 1, "m": 60, "min": 60, "minute": 60, "minutes": 60,
    "hour": 3600, "hourly": 3600, "hours": 3600, "h": 3600, "d": 86400, "day": 86400, "days": 86400, "daily": 86400,
    "w": 604_800, "week": 604_800, "weeks": 604_800, "weekly": 604_800,
}  # fmt: skip
_POWERS: Final = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}

_TRUE: Final = frozenset({"", "1", "true", "yes", "on", "t", "y", "enable", "enabled"})
_FALSE: Final = frozenset({"0", "false", "no", "off", "f", "n", "disable", "disabled"})

_REFUSED: Final = {"s": "SCTP", "o": "IP protocol"}


def parse_port_list(text: str) -> tuple[set[int], set[int], bool]:
    """`80,443,U:53,111,T:21-23,I:0` as (TCP, UDP, whether to ping). A prefix holds until the next one; `-`, `1000-` and
    `-100` are open ends."""
    tcp: set[int] = set()
    udp: set[int] = set()
    ping = False
    kind = "t"
    for item in text.split(","):
        part = item.strip()
        if part[1:2] == ":":
            kind, part = part[0].lower(), part[2:].strip()
            if kind in _REFUSED:
                raise ValueError(f"{item.strip()!r}: {_REFUSED[kind]} scans are not what Longline does")
            if kind not in ("t", "u", "i"):
                raise ValueError(f"{item.strip()!r}: the prefixes are T:, U: and I:")
        if kind == "i":
            ping = True
            continue
        if not part:
            raise ValueError(f"{item.strip()!r} is no port" if text.strip() else "no port at all")
        low, dash, high = part.partition("-")
        if dash:
            part = f"{low.strip() or 0}-{high.strip() or MAX_PORT}"
        (tcp if kind == "t" else udp).update(parse_ports(part) if part != "*" else range(MAX_PORT + 1))
    return tcp, udp, ping


def top_ports(text: str) -> set[int]:
    """The most scanned TCP ports."""
    count = whole(text, len(TOP_PORTS)) if text else DEFAULT_TOP
    if not count:
        raise ValueError("no port at all")
    return set(TOP_PORTS[:count])


def parse_ranges(text: str) -> list[str]:
    """A comma list of addresses, networks and `a-b` ranges; each checked, and as `stages.core.netset` reads it."""
    found = []
    for item in text.split(","):
        part = item.strip()
        if part.startswith("[") and part.endswith("]"):
            part = part[1:-1]
        if not part:
            raise ValueError("an empty item")
        low, dash, high = part.partition("-")
        if dash:
            first, last = ip_address(low.strip()), ip_address(high.strip())
            if type(first) is not type(last) or int(last) < int(first):
                raise ValueError(f"{part!r} is an inverted range")
            found.append(f"{first}-{last}")
        elif "/" in part:
            found.append(str(ip_network(part, strict=False)))
        else:
            try:
                found.append(str(ip_address(part)))
            except ValueError:
                raise ValueError(f"{part!r} is no address, network or range (masscan takes no names)") from None
    return found


def cidrs(text: str) -> list[str]:
    """A range as networks."""
    low, dash, high = text.partition("-")
    if not dash:
        return [text]
    first, last = ip_address(low), ip_address(high)
    assert isinstance(first, IPv4Address) == isinstance(last, IPv4Address)
    return [str(net) for net in summarize_address_range(first, last)]


def source_range(text: str, what: str) -> str:
    """One value or `a-b`."""
    low, dash, high = (part.strip() for part in text.partition("-"))
    if what == "port":
        first, last = whole(low, MAX_PORT), whole(high or low, MAX_PORT)
    else:
        first, last = int(IPv4Address(low)), int(IPv4Address(high or low))
    if last < first:
        raise ValueError("an inverted range")
    return f"{low}-{high}" if dash else low


def parse_shard(text: str) -> tuple[int, int]:
    """`1/3`: counted from 1."""
    one, slash, of = text.partition("/")
    shard, shards = whole(one.strip(), 65_535), whole(of.strip(), 65_535) if slash else 0
    if not slash or not 1 <= shard <= shards:
        raise ValueError("not X/Y with X from 1 to Y")
    return shard, shards


def parse_time(text: str) -> float:
    """Seconds: `3600`, `1h`, `daily`."""
    word = text.strip().lower()
    if word in _UNITS and word:
        return float(_UNITS[word])
    match = _TIME(word)
    if match is None or match[2] not in _UNITS:
        raise ValueError("not a time such as 3600, 60min, 1hour, 2days or weekly")
    return float(match[1]) * _UNITS[match[2]]


def parse_size(text: str) -> int:
    """Bytes: `1000`, `10k`, `1gb`; powers of 1,024."""
    match = _SIZE(text.strip().lower())
    if match is None or not int(match[1]):
        raise ValueError("not a size such as 1000000, 500m or 2gb")
    return int(int(match[1]) * 1024 ** _POWERS[match[2]])


def parse_rate(text: str) -> float:
    """Packets a second, fractions too."""
    value = decimal(text)
    if not value:
        raise ValueError("0 packets a second would never end")
    return value


def parse_bool(text: str) -> bool:
    word = text.strip().lower()
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    raise ValueError("neither true nor false")


def whole(text: str, most: int) -> int:
    """A whole number up to `most`."""
    if _NUMBER(text) is None:
        raise ValueError("not a whole number")
    if int(text) > most:
        raise ValueError(f"above {most}")
    return int(text)


def decimal(text: str) -> float:
    if _DECIMAL(text.strip()) is None or not math.isfinite(float(text)):
        raise ValueError("not a number such as 100 or 0.5")
    return float(text)
