"""Values as masscan's users write them: ports with prefixes, ranges of addresses, times, shards, MAC addresses. Pure.

All raise ValueError with the problem; who reads them knows the place and names the value.
"""

from __future__ import annotations

import math
import re
from ipaddress import IPv4Address, ip_address, ip_network, summarize_address_range
from typing import Final

from stages.scanner.ports import MAX_PORT, parse_ports

#: What follows the first hundred of TOP_PORTS, by number: the rest of the thousand that masscan 1.3 has.
_FURTHER: Final = (
    "1,3-4,6,17,19-20,24,30,32-33,42-43,49,70,82-85,89-90,99-100,109,125,146,161,163,211-212,"
    "222,254-256,259,264,280,301,306,311,340,366,406-407,416-417,425,458,464,481,497,500,512,"
    "524,541,545,555,563,593,616-617,625,636,648,666-668,683,687,691,700,705,711,714,720,722,"
    "726,749,765,777,783,787,800-801,808,843,880,888,898,900-903,911-912,981,987,992,999-1002,"
    "1007,1009-1011,1021-1024,1030-1100,1102,1104-1108,1111-1114,1117,1119,1121-1124,1126,1130-1132,"
    "1137-1138,1141,1145,1147-1149,1151-1152,1154,1163-1166,1169,1174-1175,1183,1185-1187,1192,"
    "1198-1199,1201,1213,1216-1218,1233-1234,1236,1244,1247-1248,1259,1271-1272,1277,1287,1296,"
    "1300-1301,1309-1311,1322,1328,1334,1352,1417,1434,1443,1455,1461,1494,1500-1501,1503,1521,"
    "1524,1533,1556,1580,1583,1594,1600,1641,1658,1666,1687-1688,1700,1717-1719,1721,1761,"
    "1782-1783,1801,1805,1812,1839-1840,1862-1864,1875,1914,1935,1947,1971-1972,1974,1984,1998-1999,"
    "2002-2010,2013,2020-2022,2030,2033-2035,2038,2040-2043,2045-2048,2065,2068,2099-2100,2103,"
    "2105-2107,2111,2119,2126,2135,2144,2160-2161,2170,2179,2190-2191,2196,2200,2222,2251,2260,"
    "2288,2301,2323,2366,2381-2383,2393-2394,2399,2401,2492,2500,2522,2525,2557,2601-2602,"
    "2604-2605,2607-2608,2638,2701-2702,2710,2718,2725,2800,2809,2811,2869,2875,2909-2910,2920,"
    "2967-2968,2998,3001,3003,3005-3007,3011,3013,3017,3030-3031,3052,3071,3077,3168,3211,3221,"
    "3260-3261,3268-3269,3283,3300-3301,3322-3325,3333,3351,3367,3369-3372,3390,3404,3476,3493,3517,"
    "3527,3546,3551,3580,3659,3689-3690,3703,3737,3766,3784,3800-3801,3809,3814,3826-3828,3851,"
    "3869,3871,3878,3880,3889,3905,3914,3918,3920,3945,3971,3995,3998,4000-4006,4045,4111,"
    "4125-4126,4129,4224,4242,4279,4321,4343,4443-4446,4449,4550,4567,4662,4848,4900,4998,"
    "5001-5004,5030,5033,5050,5054,5061,5080,5087,5100,5102,5120,5200,5214,5221-5222,5225-5226,"
    "5269,5280,5298,5405,5414,5431,5440,5500,5510,5544,5550,5555,5560,5566,5633,5678-5679,5718,"
    "5730,5801-5802,5810-5811,5815,5822,5825,5850,5859,5862,5877,5901-5904,5906-5907,5910-5911,5915,"
    "5922,5925,5950,5952,5959-5963,5987-5989,5998-5999,6002-6007,6009,6025,6059,6100-6101,6106,6112,"
    "6123,6129,6156,6346,6389,6502,6510,6543,6547,6565-6567,6580,6666-6669,6689,6692,6699,6779,"
    "6788-6789,6792,6839,6881,6901,6969,7000-7002,7004,7007,7019,7025,7100,7103,7106,7200-7201,"
    "7402,7435,7443,7496,7512,7625,7627,7676,7741,7777-7778,7800,7911,7920-7921,7937-7938,7999,"
    "8001-8002,8007,8010-8011,8021-8022,8031,8042,8045,8082-8090,8093,8099-8100,8180-8181,8192-8194,"
    "8200,8222,8254,8290-8292,8300,8333,8383,8400,8402,8500,8600,8649,8651-8652,8654,8701,8800,"
    "8873,8899,8994,9000-9003,9009-9011,9040,9050,9071,9080-9081,9090-9091,9099,9101-9103,9110-9111,"
    "9200,9207,9220,9290,9415,9418,9485,9500,9502-9503,9535,9575,9593-9595,9618,9666,9876-9878,"
    "9898,9900,9917,9929,9943-9944,9968,9998,10001-10004,10009-10010,10012,10024-10025,10082,10180,"
    "10215,10243,10566,10616-10617,10621,10626,10628-10629,10778,11110-11111,11967,12000,12174,12265,"
    "12345,13456,13722,13782-13783,14000,14238,14441-14442,15000,15002-15004,15660,15742,16000-16001,"
    "16012,16016,16018,16080,16113,16992-16993,17877,17988,18040,18101,18988,19101,19283,19315,"
    "19350,19780,19801,19842,20000,20005,20031,20221-20222,20828,21571,22939,23502,24444,24800,"
    "25734-25735,26214,27000,27352-27353,27355-27356,27715,28201,30000,30718,30951,31038,31337,"
    "32769-32785,33354,33899,34571-34573,35500,38292,40193,40911,41511,42510,44176,44442-44443,44501,"
    "45100,48080,49158-49161,49163,49165,49167,49175-49176,49400,49999-50003,50006,50300,50389,50500,"
    "50636,50800,51103,51493,52673,52822,52848,52869,54045,54328,55055-55056,55555,55600,"
    "56737-56738,57294,57797,58080,60020,60443,61532,61900,62078,63331,64623,64680,65000,65129,"
    "65389"
)

#: Most scanned ports: a hundred, most first, as port scanners have them by how often they are open, then the others.
TOP_PORTS: Final = (
    80, 23, 443, 21, 22, 25, 3389, 110, 445, 139, 143, 53, 135, 3306, 8080, 1723, 111, 995, 993, 5900, 1025, 587, 8888,
    199, 1720, 465, 548, 113, 81, 6001, 10000, 514, 5060, 179, 1026, 2000, 8443, 8000, 32768, 554, 26, 1433, 49152,
    2001, 515, 8008, 49154, 1027, 5666, 646, 5000, 5631, 631, 49153, 8081, 2049, 88, 79, 5800, 106, 2121, 1110, 49155,
    6000, 513, 990, 5357, 427, 49156, 543, 544, 5101, 144, 7, 389, 8009, 3128, 444, 9999, 5009, 7070, 5190, 3000, 5432,
    1900, 3986, 13, 1029, 9, 5051, 6646, 49157, 1028, 873, 1755, 2717, 4899, 9100, 119, 37,
    *parse_ports(_FURTHER),
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
