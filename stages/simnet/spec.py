"""What a simulated Internet is made of: one immutable `Spec`. Pure.

It travels to the processes that build it as one line of JSON.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

from stages.simnet.responder_spec import Responder
from stages.simnet.truth import LOOPBACK_SHARES, TLS_PORTS, WEB_PORTS, Shares, Truth


class Mode(StrEnum):
    """Where it lives."""

    NAMESPACES = "namespaces"
    LOOPBACK = "loopback"  #: 127.0.0.0/8 of the caller's own namespace: open and closed only


#: Listening sockets in loopback mode, one for each open service; each is a descriptor (a common hard limit is 4,096).
MAX_LISTENERS: Final = 2000


@dataclass(frozen=True, slots=True)
class Spec:
    """Defaults: the demo's Internet, 65,536 addresses and three ports."""

    seed: int = 1
    targets: tuple[str, ...] = ("10.0.0.0/16",)
    ports: tuple[int, ...] = (22, 80, 443)
    shares: Shares = field(default_factory=Shares)
    tls_ports: frozenset[int] = TLS_PORTS
    web_ports: frozenset[int] = WEB_PORTS
    local: tuple[str, ...] = ("10.0.0.0/8",)  #: prefixes, IPv4 or IPv6, for whose every address the far side answers
    rules: bool = True  #: filter by the truth; without, all its ports accept, and what is not open is then reset
    servers: bool = True  #: serve the truth's ports
    workers: int = 1  #: processes that serve
    mode: Mode = Mode.NAMESPACES
    responder: Responder | None = None  #: who answers for other prefixes, at wire speed

    def __post_init__(self) -> None:
        if self.responder is not None and self.mode is Mode.LOOPBACK:
            raise ValueError("a responder needs namespaces: there is none on loopback")

    def truth(self) -> Truth:
        return Truth(self.seed, self.targets, self.ports, self.shares, self.tls_ports, self.web_ports)

    def dump(self) -> str:
        """One line of JSON."""
        values = asdict(self)
        for name in ("tls_ports", "web_ports"):
            values[name] = sorted(values[name])
        return json.dumps(values)

    @classmethod
    def parse(cls, text: str | bytes) -> Spec:
        """The inverse of `dump`."""
        values: dict[str, Any] = json.loads(text)
        values["shares"] = Shares(**values["shares"])
        values["mode"] = Mode(values["mode"])
        if values.get("responder") is not None:
            values["responder"] = Responder.of(values["responder"])
        for name in ("targets", "ports", "local"):
            values[name] = tuple(values[name])
        for name in ("tls_ports", "web_ports"):
            values[name] = frozenset(values[name])
        return cls(**values)

    def on_loopback(self, *, ports: tuple[int, ...] = (8022, 8080, 8443)) -> Spec:
        """The smaller Internet that loopback can show, on ports that need no privilege: 127.77.0.0/21."""
        return replace(
            self, targets=("127.77.0.0/21",), ports=ports, shares=LOOPBACK_SHARES, rules=False, mode=Mode.LOOPBACK
        )
