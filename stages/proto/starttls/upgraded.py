"""A prelude and then a TLS dialogue, as one dialogue for `stages.net.dialing`."""

from __future__ import annotations

from typing import Protocol

from stages.proto.starttls.prelude import Prelude, StarttlsError


class TlsDialogue(Protocol):
    """What follows: `tls.client.Client`, or a whole handshake."""

    @property
    def idle(self) -> float: ...

    @property
    def total(self) -> float: ...

    def opening(self) -> bytes: ...

    def wait(self) -> float: ...

    def receive(self, data: bytes) -> bytes | None: ...

    def farewell(self) -> bytes: ...

    def eof(self) -> bytes | None: ...


class Upgraded:
    """`begun` and `refused` tell how far the prelude came."""

    __slots__ = ("_prelude", "begun", "inner", "protocol", "refused")

    def __init__(self, protocol: str, prelude: Prelude, inner: TlsDialogue) -> None:
        """`protocol`: the prelude's name."""
        self.protocol = protocol
        self.inner = inner
        self._prelude = prelude
        self.begun = False  #: the ClientHello is out
        self.refused: str | None = None  #: why TLS does not begin

    @property
    def idle(self) -> float:
        return self.inner.idle

    @property
    def total(self) -> float:
        return self.inner.total

    def opening(self) -> bytes:
        return self._prelude.opening()

    def wait(self) -> float:
        return self.inner.wait()

    def silence(self) -> bytes | None:
        return None

    def receive(self, data: bytes) -> bytes | None:
        if self.begun:
            return self.inner.receive(data)
        prelude = self._prelude
        try:
            said = prelude.receive(data)
        except StarttlsError as error:
            self.refused = f"{self.protocol}: {error}"
            return None
        if not prelude.ready:
            return said
        self.begun = True
        said += self.inner.opening()
        if rest := prelude.rest:  # it spoke before we did: what it said is read as an answer to our hello
            more = self.inner.receive(rest)
            return None if more is None else said + more
        return said

    def farewell(self) -> bytes:
        return self.inner.farewell() if self.begun else b""

    def eof(self) -> bytes | None:
        return self.inner.eof() if self.begun else None
