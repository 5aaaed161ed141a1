"""What a complete measurement must find: one `Expected` for every open service of a truth. Pure.

It is read from the same scripts that the servers play, for a client that behaves as `Client` says. Outcomes are the
names of Longline's vocabulary as plain text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from stages.simnet import sorts
from stages.simnet.behaviours import End, script
from stages.simnet.truth import Kind, Truth

#: What bannergrab keeps of one conversation unless told otherwise.
DEFAULT_MAX_BYTES: Final = 65536


@dataclass(frozen=True, slots=True)
class Client:
    """How the grabs behave: whether they come to say something to a server that waits, and how much they keep."""

    says: bool = True
    max_bytes: int = DEFAULT_MAX_BYTES


@dataclass(frozen=True, slots=True)
class Expected:
    """One service. None means that nothing is claimed about this detail."""

    ip: str
    port: int
    kind: Kind
    outcome: str | None
    data: bytes | None = None  #: banner, for services that are grabbed as such
    chain: tuple[str, ...] | None = None  #: SHA-256 of each certificate, leaf first
    version: str | None = None  #: of TLS
    sort: str | None = None  #: of the leaf certificate (`sorts.Sort`)
    transport: str = "tcp"


#: What a TLS handshake makes of services that are not TLS: who says nothing is silent, other bytes break the protocol.
_TLS_OUTCOMES: Final = {
    Kind.SILENT: "silent",
    Kind.RESET: "reset",
    Kind.CLOSE: "empty",
}

_VERSIONS: Final = {Kind.TLS12: "TLSv1.2", Kind.TLS13: "TLSv1.3", Kind.TLS_UNPARSABLE: "TLSv1.2"}


def _banner(ip: str, port: int, kind: Kind, detail: int, client: Client) -> Expected:
    play = script(kind, ip, port, detail)
    data = play.greeting + (play.reply or b"" if client.says else b"")
    silent = play.reply is not None and not client.says
    if play.end is End.RST:
        outcome = "reset"
    elif data:
        outcome = "ok"
    else:
        outcome = "silent" if silent or play.end is End.STAY else "empty"
    return Expected(ip, port, kind, outcome, data[: client.max_bytes])


def _tls(ip: str, port: int, kind: Kind, detail: int, chains: Sequence[Sequence[str]]) -> Expected:
    if not kind.tls:
        return Expected(ip, port, kind, _TLS_OUTCOMES.get(kind, "protocol"), chain=())
    number = sorts.number(kind, detail)
    outcome = None if kind is Kind.TLS_UNPARSABLE else "ok"
    chain, sort = tuple(chains[number]), sorts.PLAN[number]
    return Expected(ip, port, kind, outcome, chain=chain, version=_VERSIONS[kind], sort=sort)


def expected(truth: Truth, chains: Sequence[Sequence[str]], client: Client | None = None) -> Iterator[Expected]:
    """What stands behind every open port. `chains` are the hashes of each identity, as the servers report them.

    Services on the truth's TLS ports are expected as a TLS grab finds them, all others as a banner grab does.
    """
    client = client or Client()
    for ip, port, kind in truth.services():
        detail = truth.detail(ip, port)
        if port in truth.tls_ports:
            yield _tls(ip, port, kind, detail, chains)
        else:
            yield _banner(ip, port, kind, detail, client)
