"""What tlsgrab counts beside the runner's numbers: what the handshakes were like."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from stages.core.metrics import Metrics
from stages.core.outcome import Outcome, Phase

if TYPE_CHECKING:
    from stages.core.records import Tls

_PREFIX: Final = "longline_tlsgrab"

#: Values of the `version` label; `other` is whatever else a server may say.
VERSIONS: Final = ("SSLv3", "TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3", "other")

#: Values of the `hello` label.
HELLOS: Final = ("modern", "wide", "old", "ancient")


class TlsgrabMetrics:
    """The numbers of one tlsgrab; of a `Metrics` of their own if none is given."""

    def __init__(self, metrics: Metrics | None = None) -> None:
        self.all = m = Metrics() if metrics is None else metrics
        self.handshakes = m.counter(
            f"{_PREFIX}_handshakes", "Handshakes that ended, by outcome; also those tried again", "outcome", Outcome
        )
        self.failures = m.counter(f"{_PREFIX}_failures", "Handshakes that failed, by where it was", "phase", Phase)
        self.versions = m.counter(f"{_PREFIX}_versions", "ServerHellos, by version", "version", VERSIONS)
        self.fallbacks = m.counter(
            f"{_PREFIX}_fallbacks", "Targets asked again with another hello, by that hello", "hello", HELLOS
        )
        self.followed = m.counter(f"{_PREFIX}_followed_names", "Names out of certificates that were asked for next")
        self.matched = m.counter(f"{_PREFIX}_rules_matched", "Rules that held of a handshake")
        self.certificates = m.counter(f"{_PREFIX}_certificates", "Certificates received, repeats included")
        self.connect_seconds = m.histogram(f"{_PREFIX}_connect_seconds", "Time to connect")
        self.seconds = m.histogram(f"{_PREFIX}_handshake_seconds", "Time of connect and handshake")
        self.open = m.gauge(f"{_PREFIX}_connections_open", "Connections open now")

    def ended(self, record: Tls) -> None:
        """Count one handshake."""
        self._count(record.outcome, record.phase, record.version, len(record.chain), record.connect, record.ended)

    def plain(self, version: str, certificates: int, connect: float | None, ended: float | None) -> None:
        """Count one that went as it should, of which no record was made."""
        self._count(Outcome.OK, Phase.CERTIFICATE, version, certificates, connect, ended)

    def _count(
        self,
        outcome: Outcome,
        phase: Phase,
        version: str | None,
        certificates: int,
        connect: float | None,
        ended: float | None,
    ) -> None:
        self.handshakes.add(1, outcome)
        if outcome is not Outcome.OK:
            self.failures.add(1, phase)
        if version is not None:
            self.versions.add(1, version if version in VERSIONS else "other")
        self.certificates.add(certificates)
        if connect is not None:
            self.connect_seconds.observe(connect)
        if ended is not None:
            self.seconds.observe(ended)
