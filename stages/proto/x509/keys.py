"""SubjectPublicKeyInfo (RFC 5280 4.1.2.7, RFC 3279, 5480, 8410): the kind of key, its size, its numbers. Pure."""

from __future__ import annotations

from typing import Any, Final

from stages.proto.der import INTEGER, OID, SEQUENCE, DerError, Element, Walker
from stages.proto.x509.oids import CURVES, KEYS

#: Bits of the keys whose size is in their kind (RFC 7748, RFC 8032).
_FIXED: Final = {"x25519": 256, "ed25519": 256, "x448": 448, "ed448": 456}


#: Bits of an exponent that is written in decimal: Python refuses more than 4,300 digits, and nobody reads them.
MAX_DECIMAL_BITS: Final = 1_024


def decimal(number: int) -> str:
    """Decimal; larger ones hex with `0x`: `int(text, 0)` reads both."""
    return str(number) if number.bit_length() <= MAX_DECIMAL_BITS else hex(number)


def read_key(walker: Walker, element: Element) -> dict[str, Any]:
    """What is known of the key; numbers are hex, and an RSA exponent is `decimal`. Raises DerError.

    type      rsa, ec, dsa, ed25519, ... or `unknown`, with `oid`
    bits      RSA: of the modulus; DSA: of p; EC: of the field
    rsa       exponent modulus         dsa   p q g y         ec   curve public (the encoded point) [x y]
    others    public
    """
    algorithm, bits = _two(walker, element)
    parts = walker.children(walker.expect(algorithm, SEQUENCE))
    if not parts:
        raise DerError(f"an algorithm without a name at byte {algorithm.start}")
    oid = walker.oid(parts[0])
    kind = KEYS.get(oid, "unknown")
    key: dict[str, Any] = {"type": kind, "oid": oid}
    raw = walker.bits(bits)
    if kind in ("rsa", "rsa-pss"):
        modulus, exponent = _integers(raw, 2)
        key |= {"bits": modulus.bit_length(), "exponent": decimal(exponent), "modulus": f"{modulus:x}"}
    elif kind == "ec":
        _elliptic(walker, parts, raw, key)
    elif kind == "dsa":
        (y,) = _integers_alone(raw)
        key["y"] = f"{y:x}"
        if len(parts) > 1 and parts[1].tag == SEQUENCE:
            p, q, g = _integers(walker.whole(parts[1]), 3)
            key |= {"bits": p.bit_length(), "p": f"{p:x}", "q": f"{q:x}", "g": f"{g:x}"}
    else:
        key["public"] = raw.hex()
        if kind in _FIXED:
            key["bits"] = _FIXED[kind]
    return key


def _two(walker: Walker, element: Element) -> list[Element]:
    pair = walker.children(walker.expect(element, SEQUENCE))
    if len(pair) != 2:
        raise DerError(f"a public key of {len(pair)} parts at byte {element.start}")
    return pair


def _elliptic(walker: Walker, parts: list[Element], raw: bytes, key: dict[str, Any]) -> None:
    key["public"] = raw.hex()
    if len(parts) > 1 and parts[1].tag == OID:
        oid = walker.oid(parts[1])
        name, bits = CURVES.get(oid, (oid, 0))
        key["curve"] = name
        if bits:
            key["bits"] = bits
    else:
        key["curve"] = "explicit"  # RFC 5480 section 2.1.1 forbids it
    if raw[:1] == b"\x04" and len(raw) % 2:  # uncompressed (SEC 1 section 2.3.3)
        half = len(raw) // 2
        key |= {"x": raw[1 : 1 + half].hex(), "y": raw[1 + half :].hex()}


def _integers(der: bytes, count: int) -> list[int]:
    """A SEQUENCE of that many integers, taken as unsigned: who forgets the leading zero means no negative key."""
    inner = Walker(der, 16)
    found = inner.children(inner.expect(inner.root(), SEQUENCE))
    if len(found) < count:
        raise DerError(f"a key of {len(found)} numbers, not {count}")
    return [int.from_bytes(inner.content(inner.expect(e, INTEGER)), "big") for e in found[:count]]


def _integers_alone(der: bytes) -> list[int]:
    inner = Walker(der, 2)
    return [int.from_bytes(inner.content(inner.expect(inner.root(), INTEGER)), "big")]
