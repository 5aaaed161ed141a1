"""Certificate chains as records have them: hashes, and DER in base64. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha256
from typing import Final

from stages.core.record_fields import b64

#: The certificates of issuers come again and again: hashed and written once. With the bound on each, 16 MB at most.
_MAX_ISSUERS: Final = 2_048
_MAX_ISSUER_BYTES: Final = 3_072


@lru_cache(_MAX_ISSUERS)
def _issuer_shown(der: bytes) -> tuple[str, str]:
    return sha256(der).hexdigest(), b64(der)


def _shown(der: bytes) -> tuple[str, str]:
    return _issuer_shown(der) if len(der) <= _MAX_ISSUER_BYTES else (sha256(der).hexdigest(), b64(der))


def chain_hashes(chain: Sequence[bytes]) -> list[str]:
    """SHA-256 of each certificate, leaf first, hex."""
    return [sha256(der).hexdigest() for der in chain[:1]] + [_shown(der)[0] for der in chain[1:]]


def chain_b64(chain: Sequence[bytes]) -> list[str]:
    """Each certificate in base64, same order."""
    return [b64(der) for der in chain[:1]] + [_shown(der)[1] for der in chain[1:]]
