"""The truth: what stands at every (address, port), a pure function of a seed.

One 64-bit hash of (seed, address, port) decides everything about a service, so no table is kept, any address can be
asked alone (a server does, for every connection) or all at once (the filter rules and the comparison do), and the
answer is the same in every process, on every machine and with every Python. The hash is splitmix64's output function
(Steele, Lea, Flood 2014) over integers, once in Python's and once in numpy's; the seed goes through BLAKE2b first, so
that neighbouring seeds have nothing in common.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from hashlib import blake2b
from ipaddress import IPv4Address, IPv4Network
from itertools import accumulate
from typing import Final

import numpy as np
from numpy.typing import NDArray


class Kind(IntEnum):
    """What a SYN to (address, port) meets. From `HTTP` on: an open port, and who stands behind it."""

    CLOSED = 0  #: a RST
    FILTERED = 1  #: nothing comes back
    NET_UNREACHABLE = 2  #: ICMP 3/0
    HOST_UNREACHABLE = 3  #: ICMP 3/1
    PORT_UNREACHABLE = 4  #: ICMP 3/3, as a REJECT rule sends it
    ADMIN_PROHIBITED = 5  #: ICMP 3/13
    HTTP = 16  #: answers a request, then closes
    SSH = 17  #: speaks first, stays
    SMTP = 18  #: speaks first, stays
    FTP = 19  #: speaks first, stays
    TLS12 = 20  #: TLS, at most 1.2
    TLS13 = 21  #: TLS 1.3 (1.2 for clients that have no better)
    TLS_UNPARSABLE = 22  #: TLS 1.2 with a certificate that no library can read
    SILENT = 23  #: accepts, says nothing, stays
    DRIP = 24  #: a greeting, byte by byte
    FLOOD = 25  #: far more than anybody wants to read
    RESET = 26  #: accepts, then a RST
    HALF_CLOSE = 27  #: a greeting and a FIN at once, goes on reading
    GARBAGE = 28  #: random bytes, NUL among them, then closes
    CLOSE = 29  #: accepts, then a FIN without a byte

    @property
    def open(self) -> bool:
        """Whether a SYN is answered by a SYN-ACK."""
        return self >= Kind.HTTP

    @property
    def tls(self) -> bool:
        return Kind.TLS12 <= self <= Kind.TLS_UNPARSABLE


#: The ports whose services are TLS, unless a truth is told otherwise.
TLS_PORTS: Final = frozenset({443, 465, 636, 853, 990, 993, 995, 8443})

#: The ports whose services are HTTP.
WEB_PORTS: Final = frozenset({80, 81, 8000, 8008, 8080, 8081, 8888})

#: The ways of a target that rejects, each as likely as the others.
REJECTIONS: Final = (
    Kind.NET_UNREACHABLE,
    Kind.HOST_UNREACHABLE,
    Kind.PORT_UNREACHABLE,
    Kind.ADMIN_PROHIBITED,
)

_ODD: Final = (
    (Kind.SILENT, 0.02),
    (Kind.DRIP, 0.02),
    (Kind.FLOOD, 0.01),
    (Kind.RESET, 0.03),
    (Kind.HALF_CLOSE, 0.03),
    (Kind.GARBAGE, 0.03),
    (Kind.CLOSE, 0.03),
)

#: Who stands behind an open port, by the port's role: (kind, weight).
TLS_SERVICES: Final = (
    (Kind.TLS13, 0.50),
    (Kind.TLS12, 0.33),
    (Kind.TLS_UNPARSABLE, 0.04),
    (Kind.HTTP, 0.02),
    (Kind.SILENT, 0.02),
    (Kind.RESET, 0.03),
    (Kind.GARBAGE, 0.03),
    (Kind.CLOSE, 0.03),
)
WEB_SERVICES: Final = ((Kind.HTTP, 0.83), *_ODD)
OTHER_SERVICES: Final = ((Kind.SSH, 0.43), (Kind.SMTP, 0.20), (Kind.FTP, 0.20), *_ODD)

_MASK: Final = (1 << 64) - 1
_GOLDEN: Final = 0x9E3779B97F4A7C15
_MIX_1: Final = 0xBF58476D1CE4E5B9
_MIX_2: Final = 0x94D049BB133111EB

#: A port takes 16 bits and the host as a whole one more.
_PORT_BITS: Final = 17
_HOST: Final = 1 << 16
_ROLL: Final = 1 << 32

U64Array = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Shares:
    """How many of all (address, port) pairs are what; the rest is closed. Each in [0, 1]."""

    open: float = 0.05
    filtered: float = 0.15
    rejected: float = 0.02
    limited: float = 0.02  #: of the open ones: SYNs above a rate are dropped
    mute: float = 0.25  #: of the hosts: no answer to an ICMP echo request

    def __post_init__(self) -> None:
        for name in ("open", "filtered", "rejected", "limited", "mute"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"share {name} is {getattr(self, name)}, not in [0, 1]")
        if self.open + self.filtered + self.rejected > 1.0:
            raise ValueError("the shares of open, filtered and rejected are more than 1 together")


#: What loopback can show: without a filter a port is open or closed.
LOOPBACK_SHARES: Final = Shares(open=0.06, filtered=0.0, rejected=0.0, limited=0.0, mute=0.0)


def _mix(z: int) -> int:
    z = ((z ^ (z >> 30)) * _MIX_1) & _MASK
    z = ((z ^ (z >> 27)) * _MIX_2) & _MASK
    return z ^ (z >> 31)


def _mix_all(z: U64Array) -> U64Array:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(_MIX_1)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(_MIX_2)
    return z ^ (z >> np.uint64(31))


def _steps(weights: Sequence[float]) -> tuple[int, ...]:
    """Upper ends of the intervals of a 32-bit roll, one for each weight."""
    return tuple(min(_ROLL, round(end * _ROLL)) for end in accumulate(weights))


class _Choice:
    """A weighted choice by a 32-bit roll; a roll beyond all weights gives `rest`."""

    def __init__(self, pairs: Sequence[tuple[Kind, float]], rest: Kind) -> None:
        self._ends = _steps([weight for _, weight in pairs])
        self._kinds = (*(kind for kind, _ in pairs), rest)
        self._ends_array = np.array(self._ends, dtype=np.uint64)
        self._kinds_array = np.array(self._kinds, dtype=np.uint8)

    def one(self, roll: int) -> Kind:
        for end, kind in zip(self._ends, self._kinds, strict=False):
            if roll < end:
                return kind
        return self._kinds[-1]

    def all(self, rolls: U64Array) -> NDArray[np.uint8]:
        return self._kinds_array[np.searchsorted(self._ends_array, rolls, side="right")]


@dataclass(frozen=True)
class Truth:
    """What stands where. `targets` are IPv4 prefixes; outside of them, and on other ports, everything is closed."""

    seed: int
    targets: tuple[str, ...]
    ports: tuple[int, ...]
    shares: Shares = field(default_factory=Shares)
    tls_ports: frozenset[int] = TLS_PORTS
    web_ports: frozenset[int] = WEB_PORTS

    def __post_init__(self) -> None:
        key = blake2b(str(self.seed).encode(), digest_size=8, person=b"simnet").digest()
        ranges = sorted((int(n[0]), int(n[-1])) for n in map(IPv4Network, self.targets))
        merged: list[tuple[int, int]] = []
        for first, last in ranges:
            if merged and first <= merged[-1][1] + 1:
                merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
            else:
                merged.append((first, last))
        shares = self.shares
        rejections = [(kind, shares.rejected / len(REJECTIONS)) for kind in REJECTIONS]
        state = _Choice([(Kind.HTTP, shares.open), (Kind.FILTERED, shares.filtered), *rejections], Kind.CLOSED)
        services = {port: _Choice(self._services(port), Kind.CLOSE) for port in self.ports}
        for name, value in (
            ("_key", int.from_bytes(key, "big")),
            ("_ranges", tuple(merged)),
            ("_state", state),
            ("_service", services),
            ("_limited_end", _steps([shares.limited])[0]),
            ("_mute_end", _steps([shares.mute])[0]),
        ):
            object.__setattr__(self, name, value)

    _key: int = field(init=False, repr=False, compare=False)
    _ranges: tuple[tuple[int, int], ...] = field(init=False, repr=False, compare=False)
    _state: _Choice = field(init=False, repr=False, compare=False)
    _service: dict[int, _Choice] = field(init=False, repr=False, compare=False)
    _limited_end: int = field(init=False, repr=False, compare=False)
    _mute_end: int = field(init=False, repr=False, compare=False)

    def _services(self, port: int) -> Sequence[tuple[Kind, float]]:
        if port in self.tls_ports:
            return TLS_SERVICES
        return WEB_SERVICES if port in self.web_ports else OTHER_SERVICES

    def _hash(self, address: int, port: int) -> int:
        return _mix((self._key + ((address << _PORT_BITS) | port) * _GOLDEN) & _MASK)

    def _hashes(self, addresses: NDArray[np.integer], port: int) -> U64Array:
        value = (addresses.astype(np.uint64) << np.uint64(_PORT_BITS)) | np.uint64(port)
        return _mix_all(value * np.uint64(_GOLDEN) + np.uint64(self._key))

    def covers(self, address: int) -> bool:
        """Whether the address, as an integer, is one of the targets."""
        return any(first <= address <= last for first, last in self._ranges)

    def state(self, address: int | str, port: int) -> Kind:
        """What stands at one (address, port)."""
        address = _number(address)
        if port not in self._service or not self.covers(address):
            return Kind.CLOSED
        h = self._hash(address, port)
        kind = self._state.one(h >> 32)
        if kind is Kind.HTTP:
            return self._service[port].one(_mix((h + _GOLDEN) & _MASK) >> 32)
        return kind

    def states(self, addresses: NDArray[np.integer], port: int) -> NDArray[np.uint8]:
        """`state` of many addresses (u32) on one port: an array of Kind values, of the same length."""
        if port not in self._service:
            return np.zeros(len(addresses), dtype=np.uint8)
        h = self._hashes(addresses, port)
        kinds = self._state.all(h >> np.uint64(32))
        rolls = _mix_all(h + np.uint64(_GOLDEN)) >> np.uint64(32)
        kinds = np.where(kinds == Kind.HTTP, self._service[port].all(rolls), kinds)
        inside = np.zeros(len(addresses), dtype=bool)
        for first, last in self._ranges:
            inside |= (addresses >= first) & (addresses <= last)
        return np.where(inside, kinds, np.uint8(Kind.CLOSED)).astype(np.uint8)

    def detail(self, address: int | str, port: int) -> int:
        """32 more bits about a service: which certificate, which version, which words."""
        return _mix((self._hash(_number(address), port) + _GOLDEN) & _MASK) & (_ROLL - 1)

    def limited(self, address: int | str, port: int) -> bool:
        """Whether SYNs to this service above a rate are dropped."""
        h = self._hash(_number(address), port)
        return self.state(address, port).open and _mix((h + 2 * _GOLDEN) & _MASK) >> 32 < self._limited_end

    def limits(self, addresses: NDArray[np.integer], port: int) -> NDArray[np.bool_]:
        """`limited` of many addresses on one port."""
        rolls = _mix_all(self._hashes(addresses, port) + np.uint64(2 * _GOLDEN & _MASK)) >> np.uint64(32)
        return (rolls < self._limited_end) & (self.states(addresses, port) >= Kind.HTTP)

    def mute(self, addresses: NDArray[np.integer]) -> NDArray[np.bool_]:
        """Whether each host leaves an ICMP echo request unanswered."""
        return (self._hashes(addresses, _HOST) >> np.uint64(32)) < self._mute_end

    def addresses(self) -> NDArray[np.uint32]:
        """All targets as integers, ascending, each once."""
        parts = [np.arange(first, last + 1, dtype=np.uint32) for first, last in self._ranges]
        return np.concatenate(parts) if parts else np.empty(0, dtype=np.uint32)

    def services(self) -> Iterator[tuple[str, int, Kind]]:
        """Every open (address, port) and its kind, port by port, addresses ascending."""
        addresses = self.addresses()
        for port in self.ports:
            kinds = self.states(addresses, port)
            found = np.flatnonzero(kinds >= Kind.HTTP)
            for address, kind in zip(addresses[found].tolist(), kinds[found].tolist(), strict=True):
                yield str(IPv4Address(address)), port, Kind(kind)


def _number(address: int | str) -> int:
    return int(IPv4Address(address)) if isinstance(address, str) else address
