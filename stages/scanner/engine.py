"""The packet engine: sender threads and one receive thread around a plan. (Interface; bodies follow.)"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from stages.scanner.answers import ANSWER, ECHOREPLY, ICMP, KIND_NAMES, RST, SUCCESSES, SYNACK, AnswerArray
from stages.scanner.permutation import Permutation
from stages.scanner.probes.base import ProbeModule
from stages.scanner.space import Space

__all__ = ["ANSWER", "ECHOREPLY", "ICMP", "KIND_NAMES", "RST", "SUCCESSES", "SYNACK", "Counters", "PacketEngine", "Plan"]

Dedup = Literal["full", "window", "none"]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to send. `Plan(space, permutation, probe, secret, ...)`; numbers are checked in `__post_init__` (ValueError)."""

    space: Space
    permutation: Permutation  # of space.size elements
    probe: ProbeModule  # stages.scanner.probes.get(name, args)
    secret: bytes  # 16 bytes
    source_ips: tuple[int, ...] | None = None  # None: the route's preferred source
    source_ports: tuple[int, int] = (32768, 61000)  # inclusive
    interface: str | None = None  # None: the route's
    gateway_mac: bytes | None = None  # None: the route's gateway, by neighbour table, then ARP
    source_mac: bytes | None = None
    rate: float = 10_000.0  # packets a second; 0: unlimited
    probes: int = 1  # to each target, from consecutive source ports
    ttl: int = 64
    first: int = 0  # positions [first, last)
    last: int | None = None  # None: the end of the space
    max_runtime: float | None = None  # seconds of sending
    cooldown: float = 8.0  # seconds of receiving after the last probe
    threads: int = 1
    dedup: Dedup = "full"
    window: int = 1_000_000  # answers that dedup "window" remembers at least
    max_sendto_failures: int = -1  # -1: no limit


@dataclass(frozen=True, slots=True)
class Counters:
    sent: int = 0  # packets handed to the kernel
    send_failures: int = 0  # calls that failed and were retried
    received: int = 0  # packets that passed the kernel filter
    validated: int = 0
    invalid: int = 0
    duplicates: int = 0
    ring_drops: int = 0
    rate: float = 0.0  # packets a second over about the last second


class PacketEngine:
    def __init__(self, plan: Plan, on_answers: Callable[[AnswerArray], None]) -> None: ...
    def open(self) -> None: ...
    def start(self) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def stop_sending(self) -> None: ...
    @property
    def sending(self) -> bool: ...
    @property
    def position(self) -> int: ...
    def position_before(self, monotonic_time: float) -> int: ...
    @property
    def counters(self) -> Counters: ...
    def join(self, timeout: float | None = None) -> bool: ...
    def close(self) -> None: ...
    def describe(self) -> dict[str, object]: ...
