"""The shape of a certificate: how it was made, not what for. Pure.

A program that makes certificates makes them all alike: the same attributes of names in the same order, the same
extensions in the same order, the same kind of key and signature, serial numbers of one length, lives of one length.
Names, keys and times differ, the shape does not, so that it finds all certificates of a generator of which one is
known.

    v3 sha256WithRSAEncryption rsa2048 serial8 365d CN;CN -
    |  |                       |       |       |    |     extensions in order, critical ones with `!`; - for none
    |  |                       |       |       |    issuer and subject: attributes in order
    |  |                       |       |       life in whole days, below one day in hours (`2h`)
    |  |                       |       octets of the serial number, by class: 4, 8, 16, 20 at most, or more
    |  |                       kind and size of the key
    |  signature algorithm
    version

`shape_of` is this text's SHA-256, the first 32 hex digits of it. It is our own construction.
"""

from __future__ import annotations

from bisect import bisect_left
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from stages.proto.x509.oids import ATTRIBUTES

if TYPE_CHECKING:
    from stages.proto.x509.certificate import Certificate
    from stages.proto.x509.dn import Name

#: Hex digits of a shape: 128 bits, so that two shapes are never one.
DIGITS: Final = 32

#: Classes of lengths of serial numbers: a random one is now and then an octet shorter than its fellows.
_SERIALS: Final = (4, 8, 16, 20)

_DAY_US: Final = 86_400_000_000
_HOUR_US: Final = 3_600_000_000


def shape_text(c: Certificate) -> str:
    """What is hashed; `?` for what could not be read."""
    key = "?" if c.key is None else f"{c.key['type']}{c.key.get('bits', '')}"
    return " ".join(
        (
            f"v{c.version if c.version is not None else '?'}",
            c.signature_name or "?",
            key,
            f"serial{_serial(c.serial_bytes)}",
            _life(c),
            f"{_attributes(c.issuer)};{_attributes(c.subject)}",
            ",".join(f"{oid}{'!' if critical else ''}" for oid, critical in c.order) or "-",
        )
    )


def shape_of(c: Certificate) -> str:
    """DIGITS hex digits."""
    return sha256(shape_text(c).encode("utf-8", "backslashreplace")).hexdigest()[:DIGITS]


def _serial(octets: int | None) -> str:
    if octets is None:
        return "?"
    place = bisect_left(_SERIALS, octets)
    return str(_SERIALS[place]) if place < len(_SERIALS) else "more"


def _attributes(name: Name | None) -> str:
    if name is None:
        return "?"
    words: list[str] = []
    for (oid, _), new in zip(name.attributes, name.breaks, strict=True):
        word = ATTRIBUTES.get(oid, ("", ""))[1] or oid
        words.append(word if new or not words else f"+{word}")
    return ",".join(words) or "-"


def _life(c: Certificate) -> str:
    if c.not_before is None or c.not_after is None:
        return "?"
    life = c.not_after - c.not_before
    return f"{life // _DAY_US}d" if abs(life) >= _DAY_US else f"{life // _HOUR_US}h"
