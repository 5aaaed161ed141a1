from __future__ import annotations

from collections import Counter, defaultdict, deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from stages.core.politeness import Gate, Limits
from stages.core.records import prefix_key

HOSTS = ["10.0.0.1", "10.0.0.2", "10.0.1.1", "10.0.2.1", "2001:db8::1", "2001:db8::2", "2001:db8:1::1"]


def everything(gate: Gate[int], now: float) -> list[int]:
    return gate.ready(now, 1_000_000)


def test_at_most_so_many_connections_to_one_host() -> None:
    gate: Gate[int] = Gate(Limits(per_host=2))
    for n in range(5):
        gate.offer(n, "10.0.0.1", 0.0)
    assert everything(gate, 0.0) == [0, 1]
    assert gate.next_at(0.0) is None
    gate.release("10.0.0.1")
    assert gate.next_at(0.0) == 0.0
    assert everything(gate, 0.0) == [2]
    assert gate.waiting == 2


def test_at_most_so_many_a_second_to_one_network() -> None:
    gate: Gate[int] = Gate(Limits(per_prefix=10, prefix_burst=1))
    for n in range(3):
        gate.offer(n, f"10.0.0.{n}", 0.0)
    gate.offer(9, "10.0.1.1", 0.0)
    assert everything(gate, 0.0) == [0, 9]
    assert gate.next_at(0.0) == pytest.approx(0.1)
    assert everything(gate, 0.05) == []
    assert everything(gate, 0.1) == [1]


def test_at_most_so_many_a_second_in_all_by_share() -> None:
    gate: Gate[int] = Gate(Limits(rate=100, burst=1, share=0.5))
    for n in range(4):
        gate.offer(n, f"10.{n}.0.1", 0.0)
    assert everything(gate, 0.0) == [0]
    assert gate.next_at(0.0) == pytest.approx(0.02)
    gate.set_share(1.0)
    assert everything(gate, 0.02) == [1]
    assert gate.next_at(0.02) == pytest.approx(0.03)
    gate.set_share(0.0)
    assert everything(gate, 0.03) == [2]


def test_room_is_kept() -> None:
    gate: Gate[int] = Gate(Limits())
    for n in range(10):
        gate.offer(n, "10.0.0.1", 0.0)
    assert gate.ready(0.0, 0) == []
    assert gate.ready(0.0, 3) == [0, 1, 2]
    assert gate.waiting == 7


def test_a_host_with_many_ports_does_not_hold_up_its_neighbours() -> None:
    gate: Gate[str] = Gate(Limits(per_host=1))
    for n in range(100):
        gate.offer(f"a{n}", "10.0.0.1", 0.0)
    gate.offer("b", "10.0.0.2", 0.0)
    gate.offer("c", "10.9.0.2", 0.0)
    assert sorted(gate.ready(0.0, 10)) == ["a0", "b", "c"]


def test_fair_over_hosts_and_over_prefixes() -> None:
    gate: Gate[str] = Gate(Limits(per_prefix=1000, prefix_burst=1000))
    for n in range(30):
        gate.offer("a", "10.0.0.1", 0.0)
        gate.offer("b", "10.0.0.2", 0.0)
        gate.offer("c", "10.0.1.1", 0.0)
        assert gate.waiting == 3 * (n + 1)
    begun = Counter(gate.ready(0.0, 40))
    assert begun == {"c": 20, "a": 10, "b": 10}


def test_releasing_what_was_never_begun() -> None:
    gate: Gate[int] = Gate(Limits(per_host=1))
    with pytest.raises(KeyError):
        gate.release("10.0.0.1")
    gate.offer(1, "10.0.0.1", 0.0)
    with pytest.raises(KeyError):
        gate.release("10.0.0.1")


def test_idle_hosts_and_prefixes_are_forgotten() -> None:
    gate: Gate[int] = Gate(Limits(per_host=1, per_prefix=100))
    for n in range(1000):
        host = f"10.{n >> 8}.{n & 255}.1"
        gate.offer(n, host, n * 0.001)
        assert gate.ready(n * 0.001, 1) == [n]
        gate.release(host)
    assert gate.remembered < 50
    gate.ready(10.0, 1)
    assert gate.remembered == 0


def test_a_prefix_is_remembered_as_long_as_its_rate_needs_it() -> None:
    gate: Gate[int] = Gate(Limits(per_prefix=1, prefix_burst=1))
    gate.offer(1, "10.0.0.1", 0.0)
    assert everything(gate, 0.0) == [1]
    gate.release("10.0.0.1")
    gate.offer(2, "10.0.0.2", 0.5)
    assert everything(gate, 0.5) == []
    assert everything(gate, 1.0) == [2]


def test_overdue_is_what_the_rate_of_a_prefix_cannot_do_within_the_horizon() -> None:
    gate: Gate[int] = Gate(Limits(per_prefix=10, prefix_burst=1))
    for n in range(100):
        gate.offer(n, "10.0.0.1", 0.0)
    out = gate.overdue(0.0, 2.0)
    assert out == list(range(21, 100))  # one now and ten a second
    assert gate.waiting == 21
    assert gate.overdue(0.0, 2.0) == []
    assert everything(gate, 0.0) == [0]


def test_overdue_takes_of_the_longest_queues() -> None:
    gate: Gate[str] = Gate(Limits(per_prefix=1, prefix_burst=1))
    for n in range(20):
        gate.offer(f"many{n}", "10.0.0.1", 0.0)
    gate.offer("one", "10.0.0.2", 0.0)
    out = gate.overdue(0.0, 9.0)
    assert out == [f"many{n}" for n in range(9, 20)]
    assert gate.waiting == 10


def test_overdue_is_what_waited_for_a_full_host_beyond_the_horizon() -> None:
    gate: Gate[int] = Gate(Limits(per_host=1))
    gate.offer(0, "10.0.0.1", 0.0)
    assert everything(gate, 0.0) == [0]
    gate.offer(1, "10.0.0.1", 1.0)
    gate.offer(2, "10.0.0.1", 5.0)
    assert gate.overdue(10.0, 20.0) == []
    assert gate.overdue(12.0, 10.0) == [1]
    gate.release("10.0.0.1")
    assert everything(gate, 13.0) == [2]


def test_the_rate_for_all_makes_nothing_overdue() -> None:
    gate: Gate[int] = Gate(Limits(per_host=1, rate=1, burst=1))
    for n in range(10):
        gate.offer(n, f"10.0.0.{n}", 0.0)
    assert everything(gate, 0.0) == [0]
    assert gate.overdue(0.5, 1.0) == []


def test_discard() -> None:
    gate: Gate[int] = Gate(Limits(per_host=1, per_prefix=1000, prefix_burst=1000))
    for n in range(10):
        gate.offer(n, HOSTS[n % 3], 0.0)
    assert gate.ready(0.0, 1) == [0]
    assert sorted(gate.discard(lambda n: n % 2 == 1)) == [1, 3, 5, 7, 9]
    assert gate.waiting == 4
    assert sorted(gate.discard(lambda n: True)) == [2, 4, 6, 8]
    assert gate.ready(1.0, 10) == []
    gate.release(HOSTS[0])
    gate.ready(10.0, 0)
    assert gate.remembered == 0


class GateMachine(RuleBasedStateMachine):
    """Any sequence of offers, starts, releases and removals against what politeness promises."""

    @initialize(
        per_host=st.integers(0, 3),
        per_prefix=st.sampled_from([0.0, 0.5, 3.0, 100.0]),
        rate=st.sampled_from([0.0, 2.0, 50.0]),
        burst=st.integers(1, 3),
    )
    def limits(self, per_host: int, per_prefix: float, rate: float, burst: int) -> None:
        self.lim = Limits(per_host, per_prefix, rate, prefix_burst=burst, burst=float(burst))
        self.gate: Gate[tuple[str, int]] = Gate(self.lim)
        self.now = 1000.0
        self.n = 0
        self.model: dict[str, deque[tuple[str, int]]] = defaultdict(deque)
        self.active: Counter[str] = Counter()
        self.starts: list[tuple[float, str]] = []

    @rule(host=st.sampled_from(HOSTS), many=st.integers(1, 6))
    def offer(self, host: str, many: int) -> None:
        for _ in range(many):
            self.n += 1
            self.gate.offer((host, self.n), host, self.now)
            self.model[host].append((host, self.n))

    @rule(wait=st.floats(0, 2))
    def time_passes(self, wait: float) -> None:
        self.now += wait

    @rule(room=st.integers(0, 5))
    def ready(self, room: int) -> None:
        begun = self.gate.ready(self.now, room)
        assert len(begun) <= room
        self._began(begun)

    def _began(self, begun: list[tuple[str, int]]) -> None:
        for item in begun:
            host = item[0]
            assert self.model[host].popleft() == item  # FIFO within a host, nothing lost, nothing twice
            self.active[host] += 1
            if self.lim.per_host:
                assert self.active[host] <= self.lim.per_host
            self.starts.append((self.now, host))
        self._within(self.lim.rate, [t for t, _ in self.starts])
        for key in {prefix_key(item[0]) for item in begun}:
            self._within(self.lim.per_prefix, [t for t, host in self.starts if prefix_key(host) == key])

    def _within(self, rate: float, times: list[float]) -> None:
        if rate:
            for i, first in enumerate(times):
                assert len(times) - i <= (times[-1] - first) * rate + self.lim.prefix_burst + 1e-3

    @rule(host=st.sampled_from(HOSTS))
    def release(self, host: str) -> None:
        if self.active[host]:
            self.active[host] -= 1
            self.gate.release(host)

    @rule(horizon=st.floats(0, 5))
    def overdue(self, horizon: float) -> None:
        out = self.gate.overdue(self.now, horizon)
        assert len(set(out)) == len(out)
        for item in out:
            self.model[item[0]].remove(item)

    @rule(odd=st.booleans())
    def discard(self, odd: bool) -> None:
        out = self.gate.discard(lambda item: (item[1] % 2 == 1) == odd)
        want = {item for queue in self.model.values() for item in queue if (item[1] % 2 == 1) == odd}
        assert set(out) == want
        for item in out:
            self.model[item[0]].remove(item)

    @rule()
    def it_is_never_stuck(self) -> None:
        """Going by `next_at` alone, and releasing, everything comes out."""
        for _ in range(2000):
            if not self.gate.waiting:
                break
            at = self.gate.next_at(self.now)
            if at is None:
                host = next(host for host in HOSTS if self.active[host] and self.model[host])
                self.release(host)
                continue
            self.now = max(self.now, at)
            self._began(self.gate.ready(self.now, 100))
        assert not self.gate.waiting

    @invariant()
    def counted(self) -> None:
        if hasattr(self, "gate"):
            assert self.gate.waiting == sum(map(len, self.model.values()))

    def teardown(self) -> None:
        if hasattr(self, "gate"):
            for host, n in self.active.items():
                for _ in range(n):
                    self.gate.release(host)
            self.gate.discard(lambda _: True)
            self.gate.ready(self.now + 1000, 1)
            self.gate.ready(self.now + 1000, 1)
            assert self.gate.remembered == 0


GateMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestGateMachine = GateMachine.TestCase


@given(st.lists(st.integers(1, 40), min_size=1, max_size=8), st.integers(0, 100))
def test_a_cut_keeps_exactly_what_can_be_done(lengths: list[int], keep: int) -> None:
    gate: Gate[tuple[int, int]] = Gate(Limits(per_prefix=1, prefix_burst=1))
    for host, length in enumerate(lengths):
        for n in range(length):
            gate.offer((host, n), f"10.0.0.{host}", 0.0)
    out = gate.overdue(0.0, keep - 0.5)  # one at once, then one a second
    assert gate.waiting == min(sum(lengths), keep)
    for host, length in enumerate(lengths):
        gone = [n for h, n in out if h == host]
        assert gone == list(range(length - len(gone), length))  # the last ones, in their order
    assert len(out) == sum(lengths) - gate.waiting


def test_who_holds_back_what_waits() -> None:
    gate: Gate[int] = Gate(Limits(per_host=1, per_prefix=10, prefix_burst=1))
    assert (gate.holding().waiting, gate.holding().hosts, gate.holding().prefixes) == (0, 0, 0)
    for n in range(40):
        gate.offer(n, f"10.0.0.{n}", 0.0)
    gate.offer(40, "10.0.0.1", 0.0)
    gate.offer(41, "10.0.1.1", 0.0)
    assert len(everything(gate, 0.0)) == 2
    held = gate.holding()
    assert (held.waiting, held.hosts, held.prefixes) == (40, 0, 1)
    assert held.seconds == pytest.approx(4.0)
    unlimited: Gate[int] = Gate(Limits(per_host=1))
    for n in range(3):
        unlimited.offer(n, "10.0.0.1", 0.0)
    everything(unlimited, 0.0)
    assert (unlimited.holding().waiting, unlimited.holding().hosts, unlimited.holding().prefixes) == (2, 1, 0)
