"""Whether a key signed a certificate: yes, no, or not to be known. Pure.

RSA with PKCS #1 v1.5 (RFC 8017 section 8.2.2) is a power and a comparison and is done here, so that keys which
libraries refuse (512 bits, odd exponents, MD5) are judged too; the rest is `cryptography`'s.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

from stages.proto.der import SEQUENCE, DerError, Walker, wrap
from stages.proto.x509 import oids
from stages.proto.x509.certificate import Certificate
from stages.proto.x509.verdict import Is, Verdict

#: Bits of an RSA modulus and of its exponent that we calculate with: the power of the largest takes some milliseconds.
#: OpenSSL has the same bounds (OPENSSL_RSA_MAX_MODULUS_BITS, OPENSSL_RSA_MAX_PUBEXP_BITS).
MAX_MODULUS_BITS: Final = 16_384
MAX_EXPONENT_BITS: Final = 64

#: DER of an AlgorithmIdentifier with NULL or without parameters: RFC 8017 appendix A.2.4 allows both.
_NULL: Final = b"\x05\x00"

_HASH_OIDS: Final = {name: oid for oid, name in oids.HASHES.items()}


def _unknown(why: str) -> Verdict:
    return Verdict(Is.UNKNOWN, why)


def signed_by(c: Certificate, spki: bytes, key: dict[str, Any] | None) -> Verdict:
    """Whether the key of `spki` (read as `key`) signed `c`. Never raises."""
    if not c.signature or not c.tbs or c.signature_oid is None:
        return _unknown("the certificate has no signature that could be read")
    algorithm = oids.SIGNATURES.get(c.signature_oid)
    if algorithm is None:
        return _unknown(f"signature algorithm {c.signature_oid} is not known")
    if key is None:
        return _unknown("the key could not be read")
    name, digest, kind = algorithm
    wanted = ("rsa", "rsa-pss") if kind == "rsa-pss" else (kind,)
    if key["type"] not in wanted:
        if key["type"] == "unknown":
            return _unknown(f"key algorithm {key['oid']} is not known")
        return Verdict(Is.NO, f"a signature by {name}, and a key of kind {key['type']}")
    if kind == "rsa":
        return _pkcs1(c, key, digest)
    return _by_library(c, spki, kind, digest)


def _said(good: bool) -> Verdict:
    return Verdict(Is.YES, "the signature verifies") if good else Verdict(Is.NO, "the signature does not verify")


def _pkcs1(c: Certificate, key: dict[str, Any], digest: str) -> Verdict:
    modulus, exponent = int(key["modulus"], 16), int(key["exponent"], 0)
    if modulus.bit_length() > MAX_MODULUS_BITS or exponent.bit_length() > MAX_EXPONENT_BITS:
        return _unknown(f"a key of {modulus.bit_length()} bits with an exponent of {exponent.bit_length()}")
    if modulus < 2:
        return _unknown("a modulus that is none")
    try:
        hashed = hashlib.new(digest, c.tbs, usedforsecurity=False).digest()
    except ValueError:
        return _unknown(f"the hash {digest} is not to be had here")
    size = (modulus.bit_length() + 7) // 8
    signature = int.from_bytes(c.signature, "big")
    if signature >= modulus:
        return _said(False)
    block = pow(signature, exponent, modulus).to_bytes(size, "big")
    return _said(any(block == padded for padded in _padded(hashed, digest, size)))


def _padded(hashed: bytes, digest: str, size: int) -> list[bytes]:
    """EMSA-PKCS1-v1_5 (RFC 8017 section 9.2), with and without the parameters of the hash."""
    oid = _encoded(_HASH_OIDS[digest]) if digest in _HASH_OIDS else _encoded(_OLD[digest])
    blocks = []
    for parameters in (_NULL, b""):
        info = wrap(SEQUENCE, wrap(SEQUENCE, oid + parameters) + wrap(0x04, hashed))
        padding = size - len(info) - 3
        if padding >= 8:
            blocks.append(b"\x00\x01" + b"\xff" * padding + b"\x00" + info)
    return blocks


#: Hashes that only very old signatures use.
_OLD: Final = {"md2": "1.2.840.113549.2.2", "md4": "1.2.840.113549.2.4"}


def _encoded(oid: str) -> bytes:
    arcs = [int(arc) for arc in oid.split(".")]
    body = bytearray()
    for arc in (40 * arcs[0] + arcs[1], *arcs[2:]):
        groups = [arc & 0x7F]
        while arc := arc >> 7:
            groups.append(arc & 0x7F | 0x80)
        body += bytes(reversed(groups))
    return wrap(0x06, bytes(body))


def _by_library(c: Certificate, spki: bytes, kind: str, digest: str) -> Verdict:
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    by_name = {h.name: h for h in (hashes.SHA1, hashes.SHA224, hashes.SHA256, hashes.SHA384, hashes.SHA512)}
    arguments: tuple[Any, ...]
    try:
        key: Any = load_der_public_key(spki)
        if kind == "ec":
            arguments = (ECDSA(by_name[digest]()),)
        elif kind == "dsa":
            arguments = (by_name[digest](),)
        elif kind == "rsa-pss":
            hashed, masked, salt = _pss(c.signature_parameters)
            arguments = (padding.PSS(padding.MGF1(by_name[masked]()), salt), by_name[hashed]())
        else:
            arguments = ()
        key.verify(c.signature, c.tbs, *arguments)
    except InvalidSignature:
        return _said(False)
    except (ValueError, TypeError, LookupError, UnsupportedAlgorithm) as error:  # DerError is a ValueError
        return _unknown(f"not to be verified: {str(error)[:100]}")
    return _said(True)


def _pss(parameters: bytes) -> tuple[str, str, int]:
    """(hash, hash of the mask, length of the salt) of RSASSA-PSS (RFC 4055 section 3.1). Raises DerError, KeyError."""
    hashed = masked = "sha1"
    salt = 20
    if not parameters:
        return hashed, masked, salt
    walker = Walker(parameters, 32)
    for part in walker.children(walker.expect(walker.root(), SEQUENCE)):
        [inner] = walker.children(part)[:1] or [part]
        if part.tag == 0xA0:
            hashed = oids.HASHES[walker.oid(walker.children(inner)[0])]
        elif part.tag == 0xA1:
            mask = walker.children(inner)
            masked = oids.HASHES[walker.oid(walker.children(mask[1])[0])] if len(mask) > 1 else masked
        elif part.tag == 0xA2:
            salt = walker.integer(inner)
    if not 0 <= salt <= MAX_MODULUS_BITS // 8:
        raise DerError(f"a salt of {salt} bytes")
    return hashed, masked, salt


def pss_hash(parameters: bytes) -> str | None:
    """The hash of an RSASSA-PSS signature, or None if its parameters cannot be read."""
    try:
        return _pss(parameters)[0]
    except (DerError, KeyError, IndexError):
        return None
