"""Which hello to try after one that was not answered by a ServerHello. Pure; the caller counts connections.

    the alert says that no version suits        an older hello, then SSL 3.0 alone
    the alert says that no suite suits          the hello with all suites, then an older one
    reset, closed, any other alert, nonsense    intolerance is likely: an older hello, then the one with all suites

Silence, a refused connection and an answer that is not TLS are no reason: the server would do the same again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import Enum
from typing import Final

from stages.proto.tls.hello import HelloSpec


class Refusal(Enum):
    """How a hello was refused."""

    VERSION = "version"
    SUITES = "suites"
    OTHER = "other"


_VERSION_ALERTS: Final = frozenset({"protocol_version", "inappropriate_fallback"})
_SUITE_ALERTS: Final = frozenset({"handshake_failure", "insecure_parameters", "insufficient_security"})

_ORDER: Final[Mapping[Refusal, tuple[str, ...]]] = {
    Refusal.VERSION: ("old", "ancient", "wide"),
    Refusal.SUITES: ("wide", "old", "ancient"),
    Refusal.OTHER: ("old", "wide", "ancient"),
}


def refusal_of(alert: str | None) -> Refusal:
    """What an alert says, by name; None: the connection was closed or reset instead."""
    if alert in _VERSION_ALERTS:
        return Refusal.VERSION
    return Refusal.SUITES if alert in _SUITE_ALERTS else Refusal.OTHER


def next_hello(refusal: Refusal, tried: Collection[str], hellos: Mapping[str, HelloSpec]) -> HelloSpec | None:
    """The next one of `hellos` by name; None: all that could help were tried."""
    for name in _ORDER[refusal]:
        if name not in tried and name in hellos:
            return hellos[name]
    return None
