"""The politeness gate: no host, no network and not the whole is met harder than was asked for.

Three limits: connections to one host at once; connections begun per second to one /24 (/48 for IPv6); connections
begun per second in all. Every target of a prefix is in one partition and every partition has one consumer, so a gate
per process is exact over all workers of a stage; of the rate for all, each worker takes the share of the partitions
that it owns (`set_share`).

Waiting items stand in a queue per host (FIFO), hosts in a ring per prefix, prefixes in one ring (those which may begin
now) or in a heap (those whose rate lets the next one go at a known time): an item costs a few dictionary and deque
operations, whatever waits. `ready` goes round the prefixes and, within one, round its hosts, so that a host with a
thousand ports does not hold up its neighbours. Hosts and prefixes with nothing waiting, nothing under way and no rate
to remember are forgotten.

Pure: seconds come in as arguments, from one clock that does not go back.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Final, Generic, TypeVar

from stages.core.pacing import Pace
from stages.core.records import prefix_key

T = TypeVar("T")

#: Connections to a prefix that may begin at once after a pause, whatever its rate.
PREFIX_BURST: Final = 2

#: The one prefix of everything when prefixes have no limit.
_ANYWHERE: Final = b""


@dataclass(slots=True, frozen=True)
class Limits:
    """What is polite. 0 is no limit; rates are connections begun per second."""

    per_host: int = 0
    per_prefix: float = 0.0
    rate: float = 0.0
    prefix_burst: int = PREFIX_BURST
    burst: float | None = None  #: of `rate`; None: what the clock asks for (`pacing.BURST_SECONDS`)
    share: float = 1.0  #: of `rate`, that is this process's


@dataclass(slots=True, frozen=True)
class Holding:
    """What of politeness holds items back now."""

    waiting: int  #: items
    hosts: int  #: that have all their connections under way
    prefixes: int  #: that have used up their rate
    seconds: float  #: that the rate of the most crowded of these prefixes takes for what waits there


class _Prefix(Generic[T]):
    __slots__ = ("hosts", "key", "known", "listed", "tat", "waiting")

    def __init__(self, key: bytes) -> None:
        self.key = key
        self.hosts: deque[_Host[T]] = deque()  # those that may begin
        self.known = 0  # hosts with anything waiting or under way
        self.listed = False  # in the ring or in the heap
        self.tat = -math.inf  # theoretical arrival time, see `pacing`
        self.waiting = 0


class _Host(Generic[T]):
    __slots__ = ("active", "name", "prefix", "queue", "ringed")

    def __init__(self, name: str, prefix: _Prefix[T]) -> None:
        self.name = name
        self.prefix = prefix
        self.active = 0
        self.queue: deque[tuple[float, T]] = deque()  # (offered at, item)
        self.ringed = False  # in prefix.hosts


class Gate(Generic[T]):
    """Who waits to begin. `waiting` is their number."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.waiting = 0
        self._per_host = limits.per_host or math.inf
        self._interval = 1 / limits.per_prefix if limits.per_prefix else 0.0
        self._tolerance = (max(1, limits.prefix_burst) - 1) * self._interval
        self._pace = Pace(limits.rate * limits.share, limits.burst)
        self._hosts: dict[str, _Host[T]] = {}
        self._prefixes: dict[bytes, _Prefix[T]] = {}
        self._ring: deque[_Prefix[T]] = deque()
        self._due: list[tuple[float, int, _Prefix[T]]] = []
        self._fading: list[tuple[float, int, _Prefix[T]]] = []
        self._order = 0

    def set_share(self, share: float) -> None:
        """This process now owns `share` (0-1) of the partitions: take that much of the rate for all.

        A worker that owns nothing has nothing to begin; it keeps its rate, since a rate of 0 would mean no limit.
        """
        if share > 0:
            self._pace.set_rate(self.limits.rate * share, self.limits.burst)

    def offer(self, item: T, host: str, now: float) -> None:
        """`item` waits from now on for a connection to `host`."""
        h = self._hosts.get(host)
        if h is None:
            h = self._hosts[host] = self._meet(host)
        h.queue.append((now, item))
        h.prefix.waiting += 1
        self.waiting += 1
        if not h.ringed and h.active < self._per_host:
            self._enter(h)

    def ready(self, now: float, room: int) -> list[T]:
        """At most `room` items that begin now; they count as begun. `release` must follow for each."""
        self._forget(now)
        due, ring = self._due, self._ring
        while due and due[0][0] <= now:
            ring.append(heappop(due)[2])
        room = self._pace.room(now, room) if room > 0 else 0
        begun: list[T] = []
        per_host, interval, tolerance = self._per_host, self._interval, self._tolerance
        while ring and len(begun) < room:
            prefix = ring.popleft()
            hosts = prefix.hosts
            if not hosts:  # emptied by `overdue` or `discard`
                prefix.listed = False
                self._leave(prefix)
                continue
            if interval and prefix.tat - tolerance > now:
                self._list(prefix)
                continue
            h = hosts.popleft()
            begun.append(h.queue.popleft()[1])
            h.active += 1
            prefix.waiting -= 1
            if h.queue and h.active < per_host:
                hosts.append(h)
            else:
                h.ringed = False
            if interval:
                prefix.tat = (prefix.tat if prefix.tat > now else now) + interval
            if not hosts:
                prefix.listed = False
            elif interval and prefix.tat - tolerance > now:
                self._list(prefix)
            else:
                ring.append(prefix)
        if begun:
            self._pace.take(now, len(begun))
            self.waiting -= len(begun)
        return begun

    def release(self, host: str) -> None:
        """A connection to `host` that `ready` let begin has ended. Raises KeyError if there was none."""
        h = self._hosts[host]
        if not h.active:
            raise KeyError(host)
        h.active -= 1
        if h.queue:
            if not h.ringed:
                self._enter(h)
        elif not h.active:
            self._drop(h)

    def next_at(self, now: float) -> float | None:
        """When `ready` may next begin something: `now` or later. None: only a release or an offer can change that."""
        if any(prefix.hosts for prefix in self._ring):
            return self._pace.next_at(now)
        if self._due:
            return max(self._due[0][0], self._pace.next_at(now))
        return None

    def overdue(self, now: float, horizon: float) -> list[T]:
        """What cannot begin within `horizon` seconds, taken out.

        Two things can be known: of a prefix, how many its rate lets begin until then (the last of its longest queues
        go first, so that order within a host stays); and of a host with all its connections under way, what has
        waited for longer than `horizon` already. The rate for all is no reason: elsewhere it would not be sooner.
        """
        out: list[T] = []
        if self._interval:
            prefixes: dict[bytes, list[_Host[T]]] = {}
            for h in self._hosts.values():
                if h.queue and h.prefix.waiting > self._hopeful(h.prefix, now, horizon):
                    prefixes.setdefault(h.prefix.key, []).append(h)
            for hosts in prefixes.values():
                self._cut(hosts, self._hopeful(hosts[0].prefix, now, horizon), out)
        if self.limits.per_host:
            since = now - horizon
            for h in [h for h in self._hosts.values() if h.queue and h.active >= self._per_host]:
                while h.queue and h.queue[0][0] < since:
                    out.append(h.queue.popleft()[1])
                    h.prefix.waiting -= 1
        self.waiting -= len(out)
        return out

    def discard(self, condition: Callable[[T], bool]) -> list[T]:
        """Take out the waiting items that meet `condition`."""
        out: list[T] = []
        for h in list(self._hosts.values()):
            gone = [item for _, item in h.queue if condition(item)]
            if gone:
                out.extend(gone)
                h.queue = deque(each for each in h.queue if not condition(each[1]))
                h.prefix.waiting -= len(gone)
                self._tidy(h)
        self.waiting -= len(out)
        return out

    def holding(self) -> Holding:
        """Who holds back what waits. Walks over everything that waits: for a person, once in a while."""
        hosts = sum(1 for h in self._hosts.values() if h.queue and h.active >= self._per_host)
        crowds = [prefix.waiting for _, _, prefix in self._due if prefix.waiting]
        return Holding(self.waiting, hosts, len(crowds), max(crowds, default=0) * self._interval)

    @property
    def remembered(self) -> int:
        """Hosts and prefixes in memory."""
        return len(self._hosts) + len(self._prefixes)

    # --- the parts

    def _meet(self, name: str) -> _Host[T]:
        key = prefix_key(name) if self._interval else _ANYWHERE
        prefix = self._prefixes.get(key)
        if prefix is None:
            prefix = self._prefixes[key] = _Prefix(key)
        prefix.known += 1
        return _Host(name, prefix)

    def _enter(self, h: _Host[T]) -> None:
        """`h` may begin something."""
        h.ringed = True
        prefix = h.prefix
        prefix.hosts.append(h)
        if not prefix.listed:
            self._list(prefix)

    def _list(self, prefix: _Prefix[T]) -> None:
        """Put a prefix with hosts where its time is looked at. A time in the past is due at the next `ready`."""
        prefix.listed = True
        if self._interval and prefix.tat > -math.inf:
            self._order += 1
            heappush(self._due, (prefix.tat - self._tolerance, self._order, prefix))
        else:
            self._ring.append(prefix)

    def _drop(self, h: _Host[T]) -> None:
        """Nothing waits for `h`, nothing is under way."""
        del self._hosts[h.name]
        h.prefix.known -= 1
        self._leave(h.prefix)

    def _leave(self, prefix: _Prefix[T]) -> None:
        """Forget a prefix without hosts: at once, or when its rate has nothing to remember any more."""
        if not prefix.known and not prefix.listed:
            if prefix.tat == -math.inf:
                self._remove(prefix)
            else:
                self._order += 1
                heappush(self._fading, (prefix.tat, self._order, prefix))

    def _forget(self, now: float) -> None:
        fading = self._fading
        while fading and fading[0][0] <= now:
            prefix = heappop(fading)[2]
            if not prefix.known and not prefix.listed and prefix.tat <= now:
                self._remove(prefix)

    def _remove(self, prefix: _Prefix[T]) -> None:
        if self._prefixes.get(prefix.key) is prefix:  # it may be gone already, and another of its name be there
            del self._prefixes[prefix.key]

    def _tidy(self, h: _Host[T]) -> None:
        """After items were taken out of the middle of things: a host with nothing left leaves its ring."""
        if not h.queue:
            if h.ringed:
                h.prefix.hosts.remove(h)
                h.ringed = False
            if not h.active and h.name in self._hosts:
                self._drop(h)

    def _hopeful(self, prefix: _Prefix[T], now: float, horizon: float) -> int:
        """How many connections to `prefix` can begin by `now + horizon`."""
        start = max(prefix.tat, now) - now - self._tolerance
        return max(0, math.floor((horizon - start) / self._interval) + 1)

    def _cut(self, hosts: list[_Host[T]], keep: int, out: list[T]) -> None:
        """Take out of a prefix's queues, the longest first, until `keep` items wait."""
        prefix = hosts[0].prefix
        excess = prefix.waiting - keep
        level = _level([len(h.queue) for h in hosts], keep)
        for h in reversed(hosts):  # who came last goes first
            cut: list[T] = []
            while len(h.queue) > level and len(cut) < excess:
                cut.append(h.queue.pop()[1])
            excess -= len(cut)
            prefix.waiting -= len(cut)
            out.extend(reversed(cut))
            self._tidy(h)


def _level(lengths: list[int], keep: int) -> int:
    """The length to cut queues to, so that at most about `keep` items stay, fairly: as water finds its level."""
    left = keep
    for i, length in enumerate(sorted(lengths)):
        share = left // (len(lengths) - i)
        if length > share:
            return share
        left -= length
    return max(lengths, default=0)
