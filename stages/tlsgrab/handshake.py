"""A handshake as the stage sees it: whichever mode, it ends in an outcome, a phase, facts and a chain.

`full` is `openssl.FullHandshake`; `certificate` and `hello` are the program's own client (`stages.proto.tls.client`)
with the program's own words for how it ended. `StarttlsHandshake` is any of them inside another protocol.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Protocol

from stages.core.outcome import Outcome, Phase
from stages.proto.starttls.upgraded import Upgraded
from stages.proto.tls.client import Client
from stages.proto.tls.facts import facts_of

_PHASES: Final = {"hello": Phase.HELLO, "certificate": Phase.CERTIFICATE}


class Handshake(Protocol):
    """What has been said, named."""

    @property
    def outcome(self) -> Outcome | None:
        """What the bytes say; None when they do not say it (the connection ended before)."""

    @property
    def phase(self) -> Phase: ...

    def chain(self) -> Sequence[bytes]:
        """DER, leaf first."""

    def facts(self) -> dict[str, Any]:
        """Fields of the Tls record."""

    def give_up(self) -> None:
        """The connection ended otherwise than by the peer's close: nothing more will come."""


class OwnHandshake(Client):
    """Up to the ServerHello or the certificate."""

    __slots__ = ()

    @property
    def outcome(self) -> Outcome | None:
        if self.done or self.chain_seen is not None:
            return Outcome.OK
        if self.alert_ends:
            return Outcome.ALERT
        return Outcome.PROTOCOL if self.error is not None else None

    @property
    def phase(self) -> Phase:
        return _PHASES[self.where]

    def chain(self) -> Sequence[bytes]:
        return self.chain_seen or ()

    def facts(self) -> dict[str, Any]:
        return facts_of(self)


class StarttlsHandshake(Upgraded):
    """One of the others, inside another protocol. A server that does not let TLS begin breaks it: `protocol`."""

    __slots__ = ()

    inner: Any

    @property
    def outcome(self) -> Outcome | None:
        if self.begun:
            outcome: Outcome | None = self.inner.outcome
            return outcome
        return Outcome.PROTOCOL if self.refused is not None else None

    @property
    def phase(self) -> Phase:
        phase: Phase = self.inner.phase if self.begun else Phase.HELLO
        return phase

    def chain(self) -> Sequence[bytes]:
        chain: Sequence[bytes] = self.inner.chain() if self.begun else ()
        return chain

    def facts(self) -> dict[str, Any]:
        if self.begun:
            facts: dict[str, Any] = self.inner.facts()
            return facts | {"starttls": self.protocol}
        return {"error": self.refused, "starttls": self.protocol}

    def give_up(self) -> None:
        if self.begun:
            self.inner.give_up()
