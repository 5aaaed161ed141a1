"""The names that a scrape can show, and those that an expression uses."""

from __future__ import annotations

import re

from stages.core.metrics import Counter, Gauge, Gauges, Histogram
from tests.docs.reference import every_metric

#: prometheus-client's own, and Prometheus' own.
OTHERS = frozenset({
    "up", "process_start_time_seconds", "process_resident_memory_bytes", "process_cpu_seconds_total",
    "process_open_fds", "process_max_fds",
})  # fmt: skip

_NAME = re.compile(r"(?<![\w:])([a-z_]+:[\w:]+|longline_\w+|process_\w+|up)(?=[\s{\[)]|$)")
_OPTIONS = re.compile(r'__name__=~"longline_\(([a-z|]+)\)(\w+)"')


def names() -> set[str]:
    """Every series name."""
    found = set(OTHERS)
    for metric in every_metric():
        ends = {
            Counter: ("_total",), Gauge: ("",), Gauges: ("",), Histogram: ("_bucket", "_sum", "_count")
        }[type(metric)]  # fmt: skip
        found |= {metric.name + end for end in ends}
    return found


def used(expr: str) -> set[str]:
    several = {f"longline_{one}{rest}" for ones, rest in _OPTIONS.findall(expr) for one in ones.split("|")}
    return several | set(_NAME.findall(_OPTIONS.sub("", expr)))
