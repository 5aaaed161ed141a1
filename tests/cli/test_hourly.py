from __future__ import annotations

from stages.cli.hourly import Hourly
from stages.core.metrics import Metrics
from stages.scanner.metrics import ScannerMetrics


def test_what_comes_is_counted_in_its_hour_over_several_scans() -> None:
    hour = 22
    hourly = Hourly(lambda: hour)
    hourly.begin(Metrics())
    hourly.look()
    assert hourly.counts == {}, "the scan has not begun"
    for n in range(2):
        metrics = Metrics()
        scanner = ScannerMetrics(metrics)
        hourly.begin(metrics)
        scanner.sent.add(100)
        scanner.written.add(3)
        hourly.look()
        hourly.look()
        hour = 23 + n
        scanner.sent.add(50)
        scanner.answers.add(7, "icmp")
        hourly.end()
    assert hourly.counts == {"22": [100, 3], "23": [150, 3], "24": [50, 0]}
    assert hourly.icmp == 14
