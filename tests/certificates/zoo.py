"""A zoo of certificates, built byte by byte: what authorities, appliances, mistakes and attackers make.

`build` writes the DER itself, so that everything may be wrong in it, and signs it with the signer's key. RSA keys are
made here of small primes (RFC 8017 section 3.2 allows more than two), so that 512 and 16,384 bits and odd exponents
cost nothing; they are for tests only.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from math import prod
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519
from cryptography.hazmat.primitives.asymmetric import padding as pads
from cryptography.hazmat.primitives.asymmetric import rsa as library_rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from stages.proto.der import wrap

#: The time that the zoo is judged for: 2026-11-21T07:00:00Z.
NOW = 1_795_244_400_000_000

SEQ, SET = 0x30, 0x31


def tlv(tag: int, *content: bytes) -> bytes:
    return wrap(tag, b"".join(content))


def integer(value: int) -> bytes:
    size = value.bit_length() // 8 + 1
    return tlv(0x02, value.to_bytes(size, "big", signed=True))


def oid(text: str) -> bytes:
    arcs = [int(arc) for arc in text.split(".")]
    body = b""
    for arc in (40 * arcs[0] + arcs[1], *arcs[2:]):
        groups = bytes([arc & 0x7F])
        while arc := arc >> 7:
            groups = bytes([arc & 0x7F | 0x80]) + groups
        body += groups
    return tlv(0x06, body)


def bit_string(data: bytes) -> bytes:
    return tlv(0x03, b"\0", data)


def utc(text: str) -> bytes:
    return tlv(0x17, text.encode())


def generalized(text: str) -> bytes:
    return tlv(0x18, text.encode())


def name(common: str | None, organization: str | None = None) -> bytes:
    rdns = []
    if organization is not None:
        rdns.append(tlv(SET, tlv(SEQ, oid("2.5.4.10"), tlv(0x0C, organization.encode()))))
    if common is not None:
        rdns.append(tlv(SET, tlv(SEQ, oid("2.5.4.3"), tlv(0x0C, common.encode()))))
    return tlv(SEQ, *rdns)


def extension(number: str, value: bytes, critical: bool = False) -> bytes:
    return tlv(SEQ, oid(number), *([b"\x01\x01\xff"] if critical else []), tlv(0x04, value))


def san(*names: str) -> bytes:
    return extension("2.5.29.17", tlv(SEQ, *(tlv(0x82, n.encode()) for n in names)))


def basic(ca: bool, length: int | None = None) -> bytes:
    parts = [b"\x01\x01\xff"] if ca else []
    if length is not None:
        parts.append(integer(length))
    return extension("2.5.29.19", tlv(SEQ, *parts), True)


def usage(bits: int) -> bytes:
    """KeyUsage; bits as in RFC 5280, the first one highest."""
    return extension("2.5.29.15", tlv(0x03, b"\0", bytes([bits])), True)


def purposes(*numbers: str) -> bytes:
    return extension("2.5.29.37", tlv(SEQ, *map(oid, numbers)))


# --- keys


@dataclass(frozen=True)
class Key:
    """A key that signs: its SubjectPublicKeyInfo, the algorithm of its signatures, and how."""

    spki: bytes
    algorithm: bytes
    private: Any = None
    digest: str = "sha256"
    primes: tuple[int, ...] = ()
    exponent: int = 65_537
    sigalg: str = ""

    def sign(self, data: bytes) -> bytes:
        if self.primes:
            return self._power(data)
        if isinstance(self.private, ec.EllipticCurvePrivateKey):
            return self.private.sign(data, ec.ECDSA(_HASHES[self.digest](), deterministic_signing=True))
        if isinstance(self.private, ed25519.Ed25519PrivateKey):
            return self.private.sign(data)
        if isinstance(self.private, dsa.DSAPrivateKey):
            return self.private.sign(data, _HASHES[self.digest]())
        hashed = _HASHES[self.digest]()
        return self.private.sign(data, pads.PSS(pads.MGF1(hashed), 32), hashed)

    def _power(self, data: bytes) -> bytes:
        """RSA by the remainders of all primes."""
        modulus = prod(self.primes)
        size = (modulus.bit_length() + 7) // 8
        info = tlv(SEQ, tlv(SEQ, oid(_DIGESTS[self.digest]), b"\x05\0"), tlv(0x04, _hash(self.digest, data)))
        block = b"\0\1" + b"\xff" * (size - len(info) - 3) + b"\0" + info
        value, total = int.from_bytes(block, "big"), 0
        for p in self.primes:
            d = pow(self.exponent, -1, p - 1)
            rest = modulus // p
            total += pow(value % p, d, p) * rest * pow(rest, -1, p)
        return (total % modulus).to_bytes(size, "big")


def _hash(digest: str, data: bytes) -> bytes:
    return hashlib.new(digest, data, usedforsecurity=False).digest()


_HASHES = {"sha1": hashes.SHA1, "sha256": hashes.SHA256, "sha384": hashes.SHA384}
_DIGESTS = {"md5": "1.2.840.113549.2.5", "sha1": "1.3.14.3.2.26", "sha256": "2.16.840.1.101.3.4.2.1"}
_RSA = {"md5": "1.2.840.113549.1.1.4", "sha1": "1.2.840.113549.1.1.5", "sha256": "1.2.840.113549.1.1.11"}


def _prime(bits: int, exponent: int, rng: random.Random) -> int:
    while True:
        n = rng.getrandbits(bits) | 1 | 0xFFFF << bits - 16  # high enough that the product has all its bits
        if n % exponent != 1 and pow(2, n - 1, n) == 1 and pow(3, n - 1, n) == 1 and _coprime(exponent, n - 1):
            return n


def _coprime(a: int, b: int) -> bool:
    while b:
        a, b = b, a % b
    return a == 1


@cache
def rsa(bits: int = 2_048, digest: str = "sha256", exponent: int = 65_537, seed: int = 0) -> Key:
    """An RSA key of 256-bit primes."""
    rng = random.Random(f"{bits} {exponent} {seed}")
    primes: tuple[int, ...] = ()
    while prod(primes).bit_length() != bits:
        primes = tuple(_prime(256, exponent, rng) for _ in range(bits // 256))
    return Key(rsa_spki(prod(primes), exponent), tlv(SEQ, oid(_RSA[digest]), b"\x05\0"), None, digest, primes, exponent)


def rsa_spki(modulus: int, exponent: int) -> bytes:
    inner = tlv(SEQ, integer(modulus), integer(exponent))
    return tlv(SEQ, tlv(SEQ, oid("1.2.840.113549.1.1.1"), b"\x05\0"), bit_string(inner))


def _spki(private: Any) -> bytes:
    return bytes(private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


@cache
def p256(seed: int = 0, digest: str = "sha256") -> Key:
    private = ec.derive_private_key(0x1234567 + seed, ec.SECP256R1())
    algorithm = {"sha1": "1.2.840.10045.4.1", "sha256": "1.2.840.10045.4.3.2"}[digest]
    return Key(_spki(private), tlv(SEQ, oid(algorithm)), private, digest)


@cache
def ed() -> Key:
    private = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32))
    return Key(_spki(private), tlv(SEQ, oid("1.3.101.112")), private)


@cache
def pss() -> Key:
    private = library_rsa.generate_private_key(65_537, 2_048)
    hashed = tlv(SEQ, oid(_DIGESTS["sha256"]), b"\x05\0")
    mask = tlv(SEQ, oid("1.2.840.113549.1.1.8"), hashed)
    parameters = tlv(SEQ, tlv(0xA0, hashed), tlv(0xA1, mask), tlv(0xA2, integer(32)))
    return Key(_spki(private), tlv(SEQ, oid("1.2.840.113549.1.1.10"), parameters), private)


@cache
def dsa_key() -> Key:
    private = dsa.generate_private_key(1_024)
    return Key(_spki(private), tlv(SEQ, oid("2.16.840.1.101.3.4.3.2")), private)


# --- certificates

VALID = (utc("260101000000Z"), utc("270101000000Z"))


@dataclass
class Cert:
    """A certificate and what is needed to issue under it."""

    der: bytes
    subject: bytes
    key: Key
    extra: dict[str, Any] = field(default_factory=dict)


def build(
    subject: bytes | str | None,
    key: Key,
    issuer: Cert | None = None,
    *,
    serial: bytes = b"\x01\x23",
    validity: tuple[bytes, bytes] = VALID,
    extensions: Sequence[bytes] = (),
    version: int = 3,
    algorithm: bytes | None = None,
    signature: bytes | None = None,
    issuer_name: bytes | None = None,
    spki: bytes | None = None,
) -> Cert:
    """One certificate, self-signed without `issuer`. `serial`: content of its INTEGER."""
    subject = subject if isinstance(subject, bytes) else name(subject)
    signer = issuer.key if issuer is not None else key
    algorithm = signer.algorithm if algorithm is None else algorithm
    by = issuer_name if issuer_name is not None else issuer.subject if issuer is not None else subject
    tbs = tlv(
        SEQ,
        *([tlv(0xA0, integer(version - 1))] if version > 1 else []),
        tlv(0x02, serial),
        algorithm,
        by,
        tlv(SEQ, *validity),
        subject,
        key.spki if spki is None else spki,
        *([tlv(0xA3, tlv(SEQ, *extensions))] if extensions else []),
    )
    signature = signer.sign(tbs) if signature is None else signature
    return Cert(tlv(SEQ, tbs, algorithm, bit_string(signature)), subject, key)


ROOTS_VALID = (utc("200101000000Z"), utc("400101000000Z"))


@cache
def root(seed: int = 1) -> Cert:
    return build(f"Zoo Root {seed}", p256(seed), validity=ROOTS_VALID, extensions=(basic(True), usage(0x06)))


@cache
def intermediate(seed: int = 10) -> Cert:
    return build(
        f"Zoo Intermediate {seed}",
        p256(seed),
        root(),
        validity=ROOTS_VALID,
        extensions=(basic(True, 0), usage(0x06), purposes("1.3.6.1.5.5.7.3.1")),
    )


def leaf(common: str | None = "www.zoo.example", issuer: Cert | None = None, **more: Any) -> Cert:
    names = more.pop("sans", (common,) if common else ())
    extensions = more.pop("extensions", (san(*names), basic(False))) if names or "extensions" in more else ()
    return build(common, more.pop("key", p256(99)), issuer or intermediate(), extensions=extensions, **more)


@cache
def cross() -> dict[str, Cert]:
    """An authority with two certificates of one key: by the old root, and by the new one."""
    new = root(2)
    key = p256(20)
    fields = {"validity": ROOTS_VALID, "extensions": (basic(True), usage(0x06))}
    old = build("Zoo Cross", key, root(1), **fields)  # type: ignore[arg-type]
    young = build("Zoo Cross", key, new, serial=b"\x02", **fields)  # type: ignore[arg-type]
    return {"old": old, "new": young, "leaf": leaf("cross.zoo.example", old)}


@cache
def zoo() -> dict[str, bytes]:
    """Name -> DER of the odd ones; every one has to be kept, read as far as it goes, and judged."""
    return {
        "good": leaf().der,
        "expired": leaf("expired.zoo.example", validity=(utc("240101000000Z"), utc("250101000000Z"))).der,
        "not yet valid": leaf("young.zoo.example", validity=(utc("300101000000Z"), utc("310101000000Z"))).der,
        "for ever": leaf("ever.zoo.example", validity=(utc("260101000000Z"), generalized("99991231235959Z"))).der,
        "ends before it begins": leaf("back.zoo.example", validity=(utc("270101000000Z"), utc("260101000000Z"))).der,
        "bad time": leaf("time.zoo.example", validity=(utc("261301000000Z"), utc("270101000000Z"))).der,
        "no seconds": leaf("short.zoo.example", validity=(utc("2601010000Z"), utc("270101000000+0100"))).der,
        "no time": leaf("none.zoo.example", validity=(tlv(0x0C, b"today"), tlv(0x05))).der,
        "year zero": leaf("zero.zoo.example", validity=(generalized("00000101000000Z"), utc("270101000000Z"))).der,
        "negative serial": leaf("minus.zoo.example", serial=b"\x80").der,
        "serial of zero": leaf("null.zoo.example", serial=b"\0").der,
        "serial of 40 bytes": leaf("long.zoo.example", serial=b"\x7f" * 40).der,
        "serial of 4,000 bytes": leaf("longer.zoo.example", serial=b"\x7f" * 4_000).der,
        "no serial": leaf("empty.zoo.example", serial=b"").der,
        "no common name": leaf(None, sans=("san.zoo.example",)).der,
        "no name at all": leaf(None).der,
        "10,000 names": leaf("many.zoo.example", sans=tuple(f"h{i}.many.zoo.example" for i in range(10_000))).der,
        "wildcard": leaf("*.wild.zoo.example").der,
        "wildcard in the middle": leaf("www.*.zoo.example").der,
        "self-signed": build("self.zoo.example", p256(30), extensions=(san("self.zoo.example"),)).der,
        "self-issued, another's signature": build(
            "liar.zoo.example", p256(31), root(), issuer_name=name("liar.zoo.example")
        ).der,
        "issuer not at hand": leaf("lost.zoo.example", build("Lost", p256(32), extensions=(basic(True),))).der,
        "SHA-1": build("sha1.zoo.example", p256(33, "sha1")).der,
        "RSA SHA-1": build("rsasha1.zoo.example", rsa(2_048, "sha1")).der,
        "MD5": build("md5.zoo.example", rsa(1_024, "md5")).der,
        "RSA of 512 bits": build("rsa512.zoo.example", rsa(512)).der,
        "RSA of 16,384 bits": build("rsa16384.zoo.example", rsa(16_384)).der,
        "exponent 3": build("e3.zoo.example", rsa(2_048, exponent=3)).der,
        "exponent 1": leaf("e1.zoo.example", spki=rsa_spki(prod(rsa().primes), 1)).der,
        "even exponent": leaf("e4.zoo.example", spki=rsa_spki(prod(rsa().primes), 65_536)).der,
        "exponent of 2,000 bits": leaf("ebig.zoo.example", spki=rsa_spki(prod(rsa().primes), 2**2_000 + 1)).der,
        "exponent of 40,000 bits": leaf("ehuge.zoo.example", spki=rsa_spki(prod(rsa().primes), 2**40_000 + 1)).der,
        "Ed25519": build("ed.zoo.example", ed()).der,
        "RSA-PSS": build("pss.zoo.example", pss()).der,
        "DSA": build("dsa.zoo.example", dsa_key()).der,
        "unknown signature": leaf("unknown.zoo.example", algorithm=tlv(SEQ, oid("1.2.3.4.5.6"))).der,
        "unknown key": leaf(
            "newkey.zoo.example", spki=tlv(SEQ, tlv(SEQ, oid("2.16.840.1.101.3.4.3.17")), bit_string(b"key"))
        ).der,
        "key that is none": leaf("nokey.zoo.example", spki=tlv(SEQ, tlv(SEQ, oid("1.2.840.113549.1.1.1")))).der,
        "version 1": build("v1.zoo.example", p256(34), version=1).der,
        "version 1 with extensions": build("v1x.zoo.example", p256(34), version=1, extensions=(san("a"),)).der,
        "version 9": build("v9.zoo.example", p256(34), version=9).der,
        "trailing bytes": leaf("tail.zoo.example").der + b"tail",
        "cut off": leaf("cut.zoo.example").der[:-30],
        "cut off in its key": leaf("cut2.zoo.example").der[:200],
        "broken extension": leaf("broken.zoo.example", extensions=(extension("2.5.29.17", b"\x30\x05\x82\x09ab"),)).der,
        "extension twice": leaf("twice.zoo.example", extensions=(san("a.example"), san("b.example"))).der,
        "critical and unknown": leaf("crit.zoo.example", extensions=(extension("1.2.3.4", b"\x05\0", True),)).der,
        "precertificate": leaf(
            "pre.zoo.example",
            extensions=(san("pre.zoo.example"), extension("1.3.6.1.4.1.11129.2.4.3", b"\x05\0", True)),
        ).der,
        "for mail": leaf("mail.zoo.example", extensions=(san("mail.zoo.example"), purposes("1.3.6.1.5.5.7.3.4"))).der,
        "signature that does not verify": leaf("forged.zoo.example", signature=p256(99).sign(b"something else")).der,
        "no certificate": b"-----BEGIN CERTIFICATE-----",
        "nothing": b"",
    }


@cache
def bombs() -> dict[str, bytes]:
    """What would cost a careless reader its memory or its stack."""
    deep = b"\x05\0"
    for _ in range(20_000):
        deep = wrap(SEQ, deep)
    flat = tlv(SEQ, b"\x82\0" * 120_000)
    return {
        "deep": deep,
        "deep in an extension": leaf("deep.example", extensions=(extension("2.5.29.31", deep),)).der,
        "deep in a name": build(deep, p256(1)).der,
        "flat": flat,
        "flat in SAN": leaf("flat.example", extensions=(extension("2.5.29.17", flat),)).der,
        "20,000 extensions": leaf("many.example", extensions=(extension("1.2.3", b""),) * 20_000).der,
        "a name of 30,000 parts": build(tlv(SEQ, *[name("x")[2:]] * 30_000), p256(1)).der,
        "an OID of 100,000 bytes": leaf("oid.example", algorithm=tlv(SEQ, tlv(0x06, b"\x81" * 100_000 + b"\1"))).der,
        "an integer of 500,000 bytes": leaf("int.example", serial=b"\x55" * 500_000).der,
        "a length beyond all": b"\x30\x84\xff\xff\xff\xff" + b"\x30\x84\xff\xff\xff\xff",
        "a length of 126 octets": b"\x30\xfe" + b"\xff" * 126,
        "indefinite": b"\x30\x80" * 1_000 + b"\0\0" * 1_000,
        "two megabytes": tlv(SEQ, bytes(2 * 2**20)),
    }
