"""Whom to leave alone: one decision out of the special-purpose ranges, the user's blocklists and an allowlist. Pure.

    forbidden = special-purpose ranges that are not lifted  +  blocklists  +  everything outside the allowlist

A blocklist of the user's always wins; nothing lifts it. All three are folded into one set of ranges when they are
read, so that a look-up is one binary search. An IPv6 address which stands for an IPv4 address (IPv4-mapped, RFC 4291
section 2.5.5.2; translated, RFC 6052 section 2.1) is forbidden when the IPv4 address is.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Final

from stages.core.lists import Lists, lifts
from stages.core.netset import NetSet, Span
from stages.core.ranges import Range, Ranges
from stages.core.settings import ListSettings
from stages.core.special import REGISTRY, default_blocks, is_special

#: Upper 96 bits of addresses whose lower 32 bits are an IPv4 address.
_MAPPED: Final = 0xFFFF
_TRANSLATED: Final = 0x0064FF9B << 64

_EVERY_SPECIAL: Final = frozenset(special.network for special in REGISTRY)


@dataclass(frozen=True, slots=True)
class Excluded:
    """How many addresses of a scan's targets are left out, each counted under the first reason that holds."""

    blocklist: int
    special: int
    allowlist: int  #: not on it

    @property
    def total(self) -> int:
        return self.blocklist + self.special + self.allowlist


class Policy:
    """The decision of one process (or one scan in it). `update` swaps the lists; readers in any thread see the old
    lists or the new ones, never a mixture."""

    __slots__ = ("_besides", "_forbidden", "_lists", "_special", "generation", "lifted")

    def __init__(self, lists: Lists | None = None, *, lifted: Collection[str] = (), special: bool = True) -> None:
        """`lifted`: networks of the registries that are not blocked; unknown ones are ignored. `special` False: none
        of the registries' ranges is blocked."""
        self.lifted: tuple[str, ...] = tuple(sorted(network for network in lifted if is_special(network)))
        self.generation = 0  #: counts the updates
        self._special = default_blocks(self.lifted) if special else NetSet()
        self._besides = NetSet()
        self.update(lists if lists is not None else Lists())

    @classmethod
    def for_scan(cls, lists: Lists, settings: ListSettings, targets: Iterable[Span]) -> Policy:
        """The policy of a scan of `targets`: those written explicitly, and the entries of the allowlist, lift the
        special range that they lie in, if the settings let them. `lifted` goes into the scan's start record."""
        lifted = lifts(targets) | lists.lifts if settings.lift else frozenset()
        return cls(lists, lifted=lifted, special=settings.default_blocklist)

    @classmethod
    def for_records(cls, lists: Lists, settings: ListSettings) -> Policy:
        """The policy of a stage whose records name single addresses, each of which is explicit: typed by a user, or
        found by a scan that lifted its range. With `--no-lift` this worker refuses them all the same."""
        lifted = _EVERY_SPECIAL if settings.lift else frozenset()
        return cls(lists, lifted=lifted, special=settings.default_blocklist)

    def update(self, lists: Lists) -> None:
        """Take new lists into force."""
        forbidden = self._special.union(lists.block).union(self._besides)
        if lists.allow is not None:
            forbidden = forbidden.union(NetSet.everything().minus(lists.allow))
        self._lists = lists
        self._forbidden = forbidden
        self.generation += 1

    def leave_alone(self, networks: NetSet) -> None:
        """These besides, from now on (`stages.core.orders`); others that were, no longer."""
        if networks != self._besides:
            self._besides = networks
            self.update(self._lists)

    def blocked(self, ip: str) -> bool:
        """Whether `ip` must be left alone. Raises ValueError if it is no address."""
        forbidden = self._forbidden
        if ":" not in ip:
            a, b, c, d = ip.split(".")
            number = int(a) << 24 | int(b) << 16 | int(c) << 8 | int(d)
            at = bisect_right(forbidden.v4.starts, number)
            return at > 0 and number <= forbidden.v4.ends[at - 1]
        number = int(IPv6Address(ip.partition("%")[0]))
        upper = number >> 32
        if upper == _MAPPED:
            return number & 0xFFFFFFFF in forbidden.v4
        if upper == _TRANSLATED and number & 0xFFFFFFFF in forbidden.v4:
            return True
        return number in forbidden.v6

    def allowed_ranges_v4(self, targets: NetSet) -> list[Range]:
        """The IPv4 addresses of `targets` that may be probed: (first, last), both inside, sorted and disjoint."""
        return list(targets.v4.minus(self._forbidden.v4))

    def allowed(self, targets: NetSet) -> NetSet:
        """What of `targets` may be probed, both versions."""
        return targets.minus(self._forbidden)

    def excluded(self, targets: NetSet) -> Excluded:
        """How many addresses of `targets` are left out, and why."""
        blocklist = targets.intersect(self._lists.block.union(self._besides))
        rest = targets.minus(blocklist)
        special = rest.intersect(self._special)
        rest = rest.minus(special)
        allowed = rest if self._lists.allow is None else rest.intersect(self._lists.allow)
        return Excluded(blocklist.size, special.size, rest.size - allowed.size)

    @property
    def forbidden_v4(self) -> Ranges:
        """The IPv4 addresses to leave alone."""
        return self._forbidden.v4
