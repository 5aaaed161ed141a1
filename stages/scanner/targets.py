"""Targets: what was written on the command line, with the lists applied, as integers that can be indexed. Pure but for
the resolver that is passed in.

Targets are the arguments; without arguments those of the allowlist; without one the whole IPv4 space. Whichever it is,
an allowlist then allows nothing else, and the blocklist takes away. IPv4 becomes the ranges of a `Space`; IPv6 stays a
list that is small enough to go through address by address.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address
from itertools import accumulate
from typing import Final

import numpy as np
import numpy.typing as npt

from stages.core.errors import UsageError
from stages.core.lists import Lists
from stages.core.netset import NetSet, Resolve, Span, parse_lines
from stages.core.policy import Excluded, Policy
from stages.core.ranges import Range, Ranges
from stages.core.settings import ListSettings
from stages.core.special import REGISTRY, default_blocks
from stages.scanner.iplist import IpList
from stages.scanner.space import SLOTS, Space, U32Array

#: What is scanned when nothing is said, as in ZMap. It lifts no special-purpose range.
WHOLE_IPV4: Final = "0.0.0.0/0"

#: IPv6 addresses of a scan, at most: they are given as lists. A single /64 would take longer than anybody waits.
MAX_IPV6: Final = 2**32

_PLACE: Final = "TARGET"


@dataclass(frozen=True, slots=True)
class Targets:
    """What a scan probes."""

    written: tuple[str, ...]  #: as given
    v4: tuple[Range, ...]  #: inclusive, sorted, disjoint
    v6: Ipv6Space
    excluded: Excluded
    policy: Policy
    generation: int  #: of the policy when the targets were laid out
    listed: U32Array | None = None  #: the IPv4 addresses of an exact list, sorted, instead of `v4`

    @property
    def addresses(self) -> int:
        v4 = sum(last - first + 1 for first, last in self.v4) if self.listed is None else int(self.listed.size)
        return v4 + self.v6.addresses

    def space(self, ports: Sequence[int]) -> Space:
        """The IPv4 addresses with these ports, or slots."""
        if self.listed is None:
            return Space.build(self.v4, ports, most=SLOTS)
        return Space.of_list(self.listed, ports, most=SLOTS)

    @property
    def first_v4(self) -> int:
        """The lowest IPv4 address. There must be one."""
        return self.v4[0][0] if self.listed is None else int(self.listed[0])


class Ipv6Space:
    """IPv6 addresses x ports, indexed as `stages.scanner.space.Space` indexes IPv4: the port changes fastest."""

    __slots__ = ("_prefix", "_ranges", "addresses", "ports", "size")

    def __init__(self, ranges: Ranges, ports: Sequence[int]) -> None:
        self._ranges = ranges
        self._prefix = (0, *accumulate(last - first + 1 for first, last in ranges))
        self.ports = tuple(ports)
        self.addresses = self._prefix[-1]
        self.size = self.addresses * len(self.ports)

    @property
    def ranges(self) -> Ranges:
        return self._ranges

    def at(self, index: int) -> tuple[str, int]:
        """(address, port) of a target index below `size`."""
        which, port = divmod(index, len(self.ports))
        row = bisect_right(self._prefix, which) - 1
        return str(IPv6Address(self._ranges.starts[row] + which - self._prefix[row])), self.ports[port]


def parse_targets(texts: Sequence[str], resolve: Resolve | None) -> list[Span]:
    """The targets of the command line. Raises UsageError that names the one which is none."""
    spans: list[Span] = []
    for text in texts:
        try:
            found = list(parse_lines([text], _PLACE, resolve))
        except UsageError as error:  # a file and a line number would be no help here
            raise UsageError(_PLACE, text, error.problem) from None
        if not found:
            raise UsageError(_PLACE, text, "not a target")
        spans.extend(found)
    return spans


def choose_targets(
    texts: Sequence[str], lists: Lists, settings: ListSettings, ports: Sequence[int], resolve: Resolve | None
) -> Targets:
    """The targets of a scan. Blocks where `resolve` does.

    Raises UsageError: no target, an allowlist or blocklist that leaves nothing, too many IPv6 addresses.
    """
    spans = parse_targets(texts, resolve)
    written = tuple(texts)
    if not spans and lists.allow is None:
        spans, written = parse_targets([WHOLE_IPV4], None), (WHOLE_IPV4,)
    policy = Policy.for_scan(lists, settings, spans)
    generation = policy.generation
    wanted = NetSet.of(spans) if spans else lists.allow
    assert wanted is not None
    allowed = policy.allowed(wanted)
    excluded = policy.excluded(wanted)
    if not allowed:
        raise UsageError(_PLACE, None, _nothing_left(excluded))
    v6 = Ipv6Space(allowed.v6, ports)
    if v6.addresses > MAX_IPV6:
        raise UsageError(
            _PLACE, None, f"{v6.addresses} IPv6 addresses are more than can be probed one by one; give a list"
        )
    return Targets(written, tuple(allowed.v4), v6, excluded, policy, generation)


def choose_listed(found: IpList, lists: Lists, settings: ListSettings, ports: Sequence[int]) -> Targets:
    """The targets of an exact list. Its addresses are explicit: they lift the special range that they lie in.

    Raises UsageError when the lists leave nothing.
    """
    policy = Policy.for_scan(lists, settings, [*_samples(found.v4), *(Span(6, *pair) for pair in found.v6)])
    generation = policy.generation
    others = NetSet(v6=found.v6)
    gone = policy.excluded(others)
    forbidden = _within(found.v4, policy.forbidden_v4)
    blocked = _within(found.v4, lists.block.v4)
    special = np.zeros_like(blocked)
    if settings.default_blocklist:
        special = _within(found.v4, default_blocks(policy.lifted).v4) & ~blocked
    excluded = Excluded(
        gone.blocklist + int(blocked.sum()),
        gone.special + int(special.sum()),
        gone.allowlist + int((forbidden & ~blocked & ~special).sum()),
    )
    listed = found.v4[~forbidden]
    v6 = Ipv6Space(policy.allowed(others).v6, ports)
    if not listed.size and not v6.addresses:
        raise UsageError("-I/--list-of-ips-file", found.file, _nothing_left(excluded))
    return Targets((), (), v6, excluded, policy, generation, listed)


def _within(addresses: U32Array, ranges: Ranges) -> npt.NDArray[np.bool_]:
    """Which of the addresses are in the set."""
    if not len(ranges):
        return np.zeros(addresses.shape, np.bool_)
    at = np.searchsorted(np.array(ranges.starts, np.uint32), addresses, side="right")
    return (at > 0) & (addresses <= np.array(ranges.ends, np.uint32)[at - 1])


def _samples(addresses: U32Array) -> list[Span]:
    """One address of each part of the space in which all addresses lie in the same special-purpose ranges."""
    spans = [special.span for special in REGISTRY if special.span.version == 4]
    cuts = sorted({0, *(span.first for span in spans), *(span.last + 1 for span in spans)} - {1 << 32})
    at = np.searchsorted(addresses, np.array(cuts, np.uint32))
    chosen = {int(addresses[i]) for i, end in zip(at, [*at[1:], addresses.size], strict=True) if i < end}
    return [Span(4, address, address) for address in sorted(chosen)]


def _nothing_left(excluded: Excluded) -> str:
    reasons = [
        f"{count} on {reason}"
        for count, reason in (
            (excluded.blocklist, "the blocklist"),
            (excluded.special, "special-purpose ranges (--no-default-blocklist lifts them all)"),
            (excluded.allowlist, "no allowlist"),
        )
        if count
    ]
    return f"nothing is left to scan: of {excluded.total} addresses {', '.join(reasons)}"
