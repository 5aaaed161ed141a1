from __future__ import annotations

from stages.scanner.counting import Counts
from stages.scanner.summary import Counters, Tally
from stages.scanner.told import Times, Told
from stages.scanner.zmap_settings import ZmapSettings
from tests.servers.preparing import NOW, prepared


def told(**zmap: object) -> Told:
    """The end of a small scan."""
    scan = prepared("10.0.0.0/28", target_ports="80,443", rate=1000)
    counts = Counts(
        success_total=5, success_unique=4, cooldown_total=2, cooldown_unique=1, failure_total=3, rst_total=3,
        rst_unique=2,
    )  # fmt: skip
    counts.ports.update({443: 1, 80: 3})
    return Told(
        scan, ZmapSettings(**zmap), scan.spec, ("here", "here.example"), "the.log",  # type: ignore[arg-type]
        counters=Counters(sent=32, received=20, validated=8, invalid=1, ring_drops=2, send_failures=1),
        tally=Tally(success=4, repeats=1, failures=2, written=4), counts=counts,
        times=Times(NOW, NOW + 1_000_000, NOW, NOW + 9_000_000), position=32, reason="complete",
        sender={"interface": "eth9", "source_ip": "192.0.2.1,192.0.2.2", "gateway_mac": "02:00:00:00:00:01"},
        first_scanned="10.0.0.7", processors=16,
    )  # fmt: skip


def test_the_hit_rate_is_percent() -> None:
    assert told().hit_rate == 12.5
    nothing = told()
    nothing.counters = Counters()
    assert nothing.hit_rate == 0
