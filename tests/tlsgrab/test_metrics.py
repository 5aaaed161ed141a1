"""What tlsgrab counts."""

from __future__ import annotations

from stages.core.outcome import Outcome, Phase
from stages.core.records import Tls
from stages.tlsgrab.metrics import TlsgrabMetrics


def tls(outcome: Outcome, phase: Phase = Phase.FINISH, **more: object) -> Tls:
    return Tls(scan="s", ts=1, ip="192.0.2.1", port=443, outcome=outcome, phase=phase, **more)  # type: ignore[arg-type]


def test_every_handshake_is_counted_once() -> None:
    metrics = TlsgrabMetrics()
    metrics.ended(tls(Outcome.OK, version="TLSv1.3", chain=["a", "b"], connect=0.02, ended=0.5))
    metrics.ended(tls(Outcome.ALERT, Phase.HELLO, connect=0.1, ended=0.2))
    metrics.ended(tls(Outcome.PROTOCOL, Phase.CERTIFICATE, version="0x7F1C", chain=["c"]))
    metrics.ended(tls(Outcome.REFUSED, Phase.CONNECT, ended=0.1))
    assert metrics.handshakes.total == 4
    assert [metrics.handshakes.value(word) for word in ("ok", "alert", "protocol", "refused", "silent")] == [
        1, 1, 1, 1, 0,
    ]  # fmt: skip
    assert {phase: metrics.failures.value(phase) for phase in ("hello", "certificate", "connect", "finish")} == {
        "hello": 1, "certificate": 1, "connect": 1, "finish": 0,
    }  # fmt: skip
    assert (metrics.versions.value("TLSv1.3"), metrics.versions.value("other"), metrics.versions.total) == (1, 1, 2)
    assert metrics.certificates.value() == 3
    assert (metrics.connect_seconds.count, metrics.seconds.count) == (2, 3)


def test_what_is_exposed_follows_the_conventions() -> None:
    metrics = TlsgrabMetrics()
    metrics.ended(tls(Outcome.OK, version="TLSv1.2"))
    registry = metrics.all.registry
    assert registry.get_sample_value("longline_tlsgrab_handshakes_total", {"outcome": "ok"}) == 1
    assert registry.get_sample_value("longline_tlsgrab_versions_total", {"version": "SSLv3"}) == 0
    assert registry.get_sample_value("longline_tlsgrab_connections_open") == 0
