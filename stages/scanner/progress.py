"""The status line, once a second on standard error, as ZMap's users know it. Pure: times come in.

0:01 12% (37s left); send: 10327 10.3 Kp/s (10.1 Kp/s avg); recv: 118 118 p/s (115 p/s avg); drops: 0 p/s (0 p/s avg); hitrate: 1.14%
0:09 95% (3s left); send: 65536 done (9.92 Kp/s avg); recv: ...
"""  # noqa: E501

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_UNITS: Final = ((1e9, "G"), (1e6, "M"), (1e3, "K"))


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at a scan. Times in seconds on any one clock."""

    now: float
    sent: int
    received: int  #: open targets, each once
    drops: int
    position: int
    banners: int = 0  #: records of conversations


@dataclass(frozen=True, slots=True)
class Seen:
    """What a sample means. Rates a second: now, and over all."""

    age: float  #: seconds since the start
    part: float  #: done, 0 to 1
    left: float | None  #: seconds; None: nothing can be said yet
    sending: bool
    send: float
    send_average: float
    receive: float
    receive_average: float
    banners: float
    drops: float
    drops_average: float
    hit_rate: float  #: open targets per probe


def rate_text(value: float) -> str:
    """Three significant digits: `10.3 K`, `118 `."""
    for factor, unit in _UNITS:
        if value >= factor:
            return f"{_three(value / factor)} {unit}"
    return f"{value:.0f} "


def clock_text(seconds: float) -> str:
    """`0:01`, `1:02:03`."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"


def left_text(seconds: float) -> str:
    """`37s`, `4m05s`, `1h51m`, `2d03h`."""
    whole = int(seconds)
    for unit, small, size in (("d", "h", 86_400), ("h", "m", 3_600), ("m", "s", 60)):
        if whole >= size:
            rest = whole % size // {"h": 3_600, "m": 60, "s": 1}[small]
            return f"{whole // size}{unit}{rest:02d}{small}"
    return f"{whole}s"


class Progress:
    """Turns samples into status lines."""

    def __init__(self, start: Sample, *, last: int, cooldown: float, max_runtime: float | None = None) -> None:
        """`last`: the position at which all is sent."""
        self._start = start
        self._before = start
        self._last = last
        self._cooldown = cooldown
        self._max_runtime = max_runtime
        self._done_at: float | None = None

    def sent_all(self, now: float) -> None:
        """Sending has ended; the first time counts. `line` finds it out by itself, but only when it is asked."""
        if self._done_at is None:
            self._done_at = now

    def look(self, sample: Sample, *, sending: bool) -> Seen:
        """What is new since the last look; about once a second."""
        start, before = self._start, self._before
        if not sending:
            self.sent_all(sample.now)
        age = max(sample.now - start.now, 1e-9)
        step = max(sample.now - before.now, 1e-9)
        self._before = sample
        part, left = self.expect(sample)
        sent_for = age if self._done_at is None else max(self._done_at - start.now, 1e-9)
        probes = sample.sent - start.sent
        return Seen(
            age=age,
            part=part,
            left=left,
            sending=self._done_at is None,
            send=(sample.sent - before.sent) / step,
            send_average=probes / sent_for,
            receive=(sample.received - before.received) / step,
            receive_average=(sample.received - start.received) / age,
            banners=(sample.banners - before.banners) / step,
            drops=(sample.drops - before.drops) / step,
            drops_average=(sample.drops - start.drops) / age,
            hit_rate=(sample.received - start.received) / probes if probes else 0.0,
        )

    def line(self, sample: Sample, *, sending: bool) -> str:
        """The status now; call it about once a second."""
        seen = self.look(sample, sending=sending)
        sent = f"{sample.sent} {rate_text(seen.send)}p/s " if seen.sending else f"{sample.sent} done "
        banners = f"banners: {sample.banners} {rate_text(seen.banners)}/s; " if sample.banners else ""
        remaining = f" ({left_text(seen.left)} left)" if seen.left is not None else ""
        return (
            f"{clock_text(seen.age):>5} {seen.part:.0%}{remaining}; "
            f"send: {sent}({rate_text(seen.send_average)}p/s avg); "
            f"recv: {sample.received} {rate_text(seen.receive)}p/s ({rate_text(seen.receive_average)}p/s avg); "
            f"{banners}drops: {rate_text(seen.drops)}p/s "
            f"({rate_text(seen.drops_average)}p/s avg); hitrate: {seen.hit_rate:.2%}"
        )

    def expect(self, sample: Sample) -> tuple[float, float | None]:
        """(share done, seconds left or None while nothing can be said)."""
        age = max(sample.now - self._start.now, 1e-9)
        if self._done_at is not None:
            left = max(0.0, self._cooldown - (sample.now - self._done_at))
            return (age / (age + left) if age + left else 1.0), left
        done = sample.position - self._start.position
        total = self._last - self._start.position
        left_to_send = age / done * (total - done) if done else None
        if self._max_runtime is not None:
            until = max(0.0, self._max_runtime - age)
            left_to_send = until if left_to_send is None else min(left_to_send, until)
        if left_to_send is None:
            return 0.0, None
        whole = age + left_to_send + self._cooldown
        return age / whole, left_to_send + self._cooldown


def _three(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
