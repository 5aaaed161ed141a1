from __future__ import annotations

from stages.bannergrab.metrics import BannergrabMetrics
from stages.core.outcome import Outcome, Phase
from stages.core.records import Banner


def banner(outcome: Outcome, **more: object) -> Banner:
    return Banner(scan="s", ts=1, ip="192.0.2.1", port=80, outcome=outcome, phase=Phase.CONNECT, **more)  # type: ignore[arg-type]


def test_every_conversation_is_counted_once() -> None:
    metrics = BannergrabMetrics()
    metrics.ended(banner(Outcome.OK, data=b"abc", sent=5, connect=0.02, ended=0.5, truncated=True))
    metrics.ended(banner(Outcome.UNREACHABLE, icmp={"type": 3, "code": 1}, ended=0.1))
    metrics.ended(banner(Outcome.LOCAL))
    assert metrics.conversations.total == 3
    assert [metrics.conversations.value(outcome) for outcome in ("ok", "unreachable", "local", "refused")] == [
        1,
        1,
        1,
        0,
    ]
    assert metrics.phases.value("connect") == 2
    assert (metrics.received.value(), metrics.sent.value()) == (3, 5)
    assert (metrics.truncated.value(), metrics.icmp.value()) == (1, 1)
    assert (metrics.connect_seconds.count, metrics.seconds.count) == (1, 2)


def test_what_is_exposed_follows_the_conventions() -> None:
    metrics = BannergrabMetrics()
    metrics.ended(banner(Outcome.OK, data=b"abc"))
    registry = metrics.all.registry
    assert registry.get_sample_value("longline_bannergrab_conversations_total", {"outcome": "ok"}) == 1
    assert registry.get_sample_value("longline_bannergrab_conversations_total", {"outcome": "refused"}) == 0
    assert registry.get_sample_value("longline_bannergrab_received_bytes_total") == 3
