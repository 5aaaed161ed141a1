"""The flights that the responder's TLS servers answer: TLS 1.2 with real certificates, made once for a network.

Three chains, as servers have them: a leaf and its intermediate; with an RSA key, and the root beside; and one that
sends its chain twice and more, as a careless administrator configures it. An address picks one of them. The suite is of
RSA key transport, so that no signature of what the client said belongs to the flight (RFC 5246 7.4.3).
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from stages.simnet import certificates
from stages.simnet.sorts import Sort
from stages.simnet.tlsanswers import flight

#: Of TLS_RSA_WITH_AES_128_GCM_SHA256, which every client offers that offers key transport.
_SUITE: Final = b"\x00\x9c"
#: A ClientHello as far as `flight` reads it: header, version, random, no session, one suite.
_HELLO: Final = bytes(4 + 2 + 32) + b"\0\0\x02" + _SUITE
#: The eighth identity has an RSA key (`certificates.make`).
_PLAN: Final = (Sort.VALID,) * 8


def chains(now: datetime) -> tuple[tuple[bytes, ...], ...]:
    """The chains, DER, leaf first. `now` is aware, in UTC."""
    identities, root = certificates.make(now, _PLAN)
    middle = identities[0].chain[1]
    return (
        identities[0].chain,
        (*identities[7].chain, root),
        (*identities[1].chain, root, middle, root, *identities[2].chain),
    )


def flights(made: tuple[tuple[bytes, ...], ...]) -> tuple[bytes, ...]:
    """ServerHello, Certificate, ServerHelloDone for each chain; its number is the server's random."""
    return tuple(flight(_HELLO, chain, bytes([number]) * 32) for number, chain in enumerate(made))
