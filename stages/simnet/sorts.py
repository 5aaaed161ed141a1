"""The sorts of certificates and which one a service shows: the part of the truth about TLS that needs no key. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from stages.simnet.truth import Kind

#: Certificates are for `*.NAME`; those of a wrong name for `OTHER_NAME`.
NAME: Final = "simnet.example"
OTHER_NAME: Final = "elsewhere.example"


class Sort(StrEnum):
    """What a verdict must say of a certificate."""

    VALID = "valid"  #: with an intermediate
    SELF_SIGNED = "self-signed"
    EXPIRED = "expired"
    NOT_YET_VALID = "not-yet-valid"
    WRONG_NAME = "wrong-name"
    UNPARSABLE = "unparsable"


#: The identities of a run, by number: 32 of them.
PLAN: Final = (
    *[Sort.VALID] * 12,
    *[Sort.SELF_SIGNED] * 6,
    *[Sort.EXPIRED] * 5,
    *[Sort.NOT_YET_VALID] * 3,
    *[Sort.WRONG_NAME] * 4,
    *[Sort.UNPARSABLE] * 2,
)

_READABLE: Final = tuple(n for n, sort in enumerate(PLAN) if sort is not Sort.UNPARSABLE)
_UNPARSABLE: Final = tuple(n for n, sort in enumerate(PLAN) if sort is Sort.UNPARSABLE)


def number(kind: Kind, detail: int) -> int:
    """Which identity of `PLAN` a TLS service shows. Raises ValueError for a service that is not TLS."""
    if not kind.tls:
        raise ValueError(f"{kind.name} shows no certificate")
    numbers = _UNPARSABLE if kind is Kind.TLS_UNPARSABLE else _READABLE
    return numbers[detail % len(numbers)]
