"""Metrics: numbers that are cheap to count, and their exposition by prometheus-client when somebody asks.

Counting is adding to a plain number; nothing is locked, looked up or formatted. Each metric is written from one thread
at a time. `Metrics.registry` is a CollectorRegistry of our own whose one collector hands these numbers over at each
scrape; prometheus-client is imported only then. The live view and the tests read `value` directly.

Names are `longline_<stage>_<what>_<unit>`; prometheus-client adds `_total` to counters. A label's values are a closed
vocabulary, given when the metric is made, so that every series is there with 0 from the start; never an address.
"""

from __future__ import annotations

import os
import platform
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final, TypeVar

from stages import __version__
from stages.core.errors import HostError

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.core import Metric

#: Buckets of times to connect, to finish a handshake, to settle: 1 ms to 30 s.
SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

#: Buckets of batch sizes: powers of four.
SIZES: Final = (1.0, 4.0, 16.0, 64.0, 256.0, 1_024.0, 4_096.0, 16_384.0)


class Counter:
    """Only grows. Without a label the one value is that of ``""``."""

    __slots__ = ("cells", "help", "label", "name")

    def __init__(self, name: str, help: str, label: str | None = None, values: Iterable[str] = ("",)) -> None:
        self.name = name
        self.help = help
        self.label = label
        self.cells: dict[str, float] = dict.fromkeys(map(str, values), 0)

    def add(self, n: float = 1, value: str = "") -> None:
        """Raises KeyError for a label value outside the vocabulary."""
        self.cells[value] += n

    def value(self, value: str = "") -> float:
        return self.cells[value]

    @property
    def total(self) -> float:
        return sum(self.cells.values())


class Gauge:
    """A present value: set, or asked for at the scrape (`read`)."""

    __slots__ = ("_number", "help", "name", "read")

    def __init__(self, name: str, help: str, read: Callable[[], float] | None = None) -> None:
        self.name = name
        self.help = help
        self.read = read
        self._number = 0.0

    def set(self, number: float) -> None:
        self._number = number

    @property
    def value(self) -> float:
        return self._number if self.read is None else self.read()


class Gauges:
    """Present values by a label, asked for at the scrape. The only metric whose label values may come and go: whoever
    makes it bounds their number."""

    __slots__ = ("help", "label", "name", "read")

    def __init__(self, name: str, help: str, label: str, read: Callable[[], Mapping[str, float]]) -> None:
        self.name = name
        self.help = help
        self.label = label
        self.read = read


class Histogram:
    """How often values fell into each bucket; a bucket's bound is inclusive (`le`)."""

    __slots__ = ("bounds", "counts", "help", "name", "sum")

    def __init__(self, name: str, help: str, bounds: Sequence[float] = SECONDS) -> None:
        self.name = name
        self.help = help
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def observe_all(self, values: Sequence[float]) -> None:
        """Each of them. Sorted once, they are counted bound by bound."""
        ordered = sorted(values)
        before = 0
        for at, bound in enumerate(self.bounds):
            upto = bisect_right(ordered, bound, before)
            self.counts[at] += upto - before
            before = upto
        self.counts[-1] += len(ordered) - before
        self.sum += sum(ordered)

    @property
    def count(self) -> int:
        return sum(self.counts)

    def buckets(self) -> Iterator[tuple[str, float]]:
        """(upper bound, values up to it), the last bound being `+Inf`."""
        below = 0
        for bound, n in zip(self.bounds, self.counts, strict=False):
            below += n
            yield str(bound), below
        yield "+Inf", below + self.counts[-1]


M = TypeVar("M", Counter, Gauge, Gauges, Histogram)
Measure = Counter | Gauge | Gauges | Histogram


class Metrics:
    """All metrics of this process."""

    def __init__(self) -> None:
        self._all: dict[str, Measure] = {}
        self._registry: CollectorRegistry | None = None

    def counter(self, name: str, help: str, label: str | None = None, values: Iterable[str] = ("",)) -> Counter:
        """A new counter; `values` are all that `label` may have. Raises ValueError if the name is taken."""
        return self._add(Counter(name, help, label, values))

    def gauge(self, name: str, help: str, read: Callable[[], float] | None = None) -> Gauge:
        """A new gauge. Raises ValueError if the name is taken."""
        return self._add(Gauge(name, help, read))

    def gauges(self, name: str, help: str, label: str, read: Callable[[], Mapping[str, float]]) -> Gauges:
        """New gauges, one for each label value that `read` returns. Raises ValueError if the name is taken."""
        return self._add(Gauges(name, help, label, read))

    def histogram(self, name: str, help: str, bounds: Sequence[float] = SECONDS) -> Histogram:
        """A new histogram. Raises ValueError if the name is taken."""
        return self._add(Histogram(name, help, bounds))

    def _add(self, metric: M) -> M:
        if metric.name in self._all:
            raise ValueError(f"metric {metric.name} exists")
        self._all[metric.name] = metric
        return metric

    def __getitem__(self, name: str) -> Measure:
        return self._all[name]

    def __iter__(self) -> Iterator[Measure]:
        return iter(self._all.values())

    @property
    def registry(self) -> CollectorRegistry:
        """For exposition and for `get_sample_value` in tests; also has this process's memory, CPU, descriptors."""
        if self._registry is None:
            from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector

            self._registry = CollectorRegistry(auto_describe=False)
            self._registry.register(self)
            ProcessCollector(registry=self._registry)
            PlatformCollector(registry=self._registry)
            GCCollector(registry=self._registry)
        return self._registry

    def describe(self) -> Iterator[Metric]:
        """What `collect` yields, for the registry's check of names."""
        return self.collect()

    def collect(self) -> Iterator[Metric]:
        """The numbers as they are now (prometheus-client's Collector)."""
        from prometheus_client.core import (
            CounterMetricFamily,
            GaugeMetricFamily,
            HistogramMetricFamily,
            InfoMetricFamily,
        )

        yield InfoMetricFamily(
            "longline_build", "Version of the program", {"version": __version__, "python": platform.python_version()}
        )
        for metric in list(self._all.values()):
            if isinstance(metric, Counter):
                family = CounterMetricFamily(metric.name, metric.help, labels=[metric.label] if metric.label else [])
                for value, number in metric.cells.items():
                    family.add_metric([value] if metric.label else [], number)
                yield family
            elif isinstance(metric, Gauge):
                yield GaugeMetricFamily(metric.name, metric.help, metric.value)
            elif isinstance(metric, Gauges):
                gauges = GaugeMetricFamily(metric.name, metric.help, labels=[metric.label])
                for value, number in metric.read().items():
                    gauges.add_metric([value], number)
                yield gauges
            else:
                yield HistogramMetricFamily(metric.name, metric.help, list(metric.buckets()), metric.sum)

    def write(self, file: str) -> None:
        """The text of a scrape into a file, whole or not at all. Raises HostError."""
        part = f"{file}.{os.getpid()}"
        try:
            with open(part, "wb") as out:
                out.write(self.render()[1])
            os.replace(part, file)
        except OSError as error:
            raise HostError(f"metrics cannot be written to {file}: {error.strerror}") from error

    def render(self) -> tuple[str, bytes]:
        """(content type, body) of a scrape, in the text format."""
        from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

        return CONTENT_TYPE_LATEST, generate_latest(self.registry)
