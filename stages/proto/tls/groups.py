"""Key shares of TLS 1.3 (RFC 8446 section 4.2.8).

The base point as our share: then our scalar is 1 and the shared secret is the server's own share (for X25519, RFC 7748
section 6.1, u = 9; for the NIST curves its x coordinate, RFC 8446 section 7.4.2). Anybody who sees the server's share
can read the handshake; nothing in it is secret to us, as all that is asked for is the certificate, and no handshake is
ever completed with it. `FreshKey` is a true exchange, from randomness that the caller passes in.
"""

from __future__ import annotations

import hashlib
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from stages.proto.tls.codes import ILLEGAL_PARAMETER, SECP256R1, SECP384R1, SECP521R1, X25519
from stages.proto.tls.records import TlsFormatError

#: Bytes of randomness that the fresh keys of one connection are made of, whatever their groups.
FRESH_RANDOM: Final = 32

#: Bytes that a scalar is made of: 64 bits more than the longest one, so that it is spread evenly (FIPS 186-4, B.4.1).
_SCALAR: Final = 74

_CURVES: Final[dict[int, ec.EllipticCurve]] = {
    SECP256R1: ec.SECP256R1(),
    SECP384R1: ec.SECP384R1(),
    SECP521R1: ec.SECP521R1(),
}

#: Orders of the NIST curves (FIPS 186-4, D.1.2).
_ORDERS: Final = {
    SECP256R1: 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    SECP384R1: 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973,
    SECP521R1: 2**521 - 0x5AE79787C40D069948033FEB708F65A2FC44A36477663B851449048E16EC79BF7,
}


def _base(group: int) -> bytes:
    key = ec.derive_private_key(1, _CURVES[group])
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


#: Group -> the public value of the scalar 1.
BASE_POINTS: Final[dict[int, bytes]] = {
    X25519: (9).to_bytes(32, "little"),
    **{group: _base(group) for group in _CURVES},
}


def base_secret(group: int, share: bytes) -> bytes:
    """The shared secret where ours was the base point. Raises TlsFormatError."""
    want = len(BASE_POINTS[group])
    if len(share) != want or (group != X25519 and share[0] != 4):
        raise TlsFormatError(f"key share of {len(share)} bytes in group {group}", ILLEGAL_PARAMETER)
    return share if group == X25519 else share[1 : 1 + want // 2]


class FreshKey:
    """A key of one connection; `random` is FRESH_RANDOM bytes, and gives another key in each group."""

    __slots__ = ("_key", "group", "public")

    def __init__(self, group: int, random: bytes) -> None:
        self.group = group
        material = hashlib.shake_256(random + group.to_bytes(2, "big")).digest(_SCALAR)
        self._key: X25519PrivateKey | ec.EllipticCurvePrivateKey
        if group == X25519:
            key = self._key = X25519PrivateKey.from_private_bytes(material[:32])
            self.public = key.public_key().public_bytes_raw()
        else:
            scalar = int.from_bytes(material, "big") % (_ORDERS[group] - 1) + 1
            curve = self._key = ec.derive_private_key(scalar, _CURVES[group])
            self.public = curve.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)

    def secret(self, share: bytes) -> bytes:
        """Raises TlsFormatError: no point of the group."""
        key = self._key
        try:
            if isinstance(key, X25519PrivateKey):
                return key.exchange(X25519PublicKey.from_public_bytes(share))
            return key.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(key.curve, share))
        except ValueError as error:
            raise TlsFormatError(f"key share in group {self.group}: {error}", ILLEGAL_PARAMETER) from None
