"""Base points and true exchanges, beside the library's own arithmetic."""

from __future__ import annotations

import os

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from stages.proto.tls.groups import BASE_POINTS, FRESH_RANDOM, FreshKey, base_secret
from stages.proto.tls.records import TlsFormatError

CURVES = {23: ec.SECP256R1(), 24: ec.SECP384R1(), 25: ec.SECP521R1()}


def test_with_the_base_point_the_secret_is_the_servers_share_x25519() -> None:
    server = X25519PrivateKey.generate()
    share = server.public_key().public_bytes_raw()
    assert server.exchange(X25519PublicKey.from_public_bytes(BASE_POINTS[29])) == base_secret(29, share) == share


@pytest.mark.parametrize("group", CURVES)
def test_with_the_base_point_the_secret_is_the_servers_x(group: int) -> None:
    server = ec.generate_private_key(CURVES[group])
    share = server.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    base = ec.EllipticCurvePublicKey.from_encoded_point(CURVES[group], BASE_POINTS[group])
    assert server.exchange(ec.ECDH(), base) == base_secret(group, share)


@pytest.mark.parametrize("group", BASE_POINTS)
def test_a_true_exchange(group: int) -> None:
    ours, theirs = FreshKey(group, os.urandom(FRESH_RANDOM)), FreshKey(group, os.urandom(FRESH_RANDOM))
    assert ours.secret(theirs.public) == theirs.secret(ours.public)
    assert ours.public != theirs.public
    assert len(ours.public) == len(BASE_POINTS[group])


def test_the_key_is_a_function_of_the_randomness_and_the_group() -> None:
    random = bytes(range(FRESH_RANDOM))
    assert FreshKey(23, random).public == FreshKey(23, random).public
    assert len({FreshKey(group, random).public[:20] for group in BASE_POINTS}) == len(BASE_POINTS)


@pytest.mark.parametrize("group", BASE_POINTS)
def test_a_share_that_is_no_point(group: int) -> None:
    with pytest.raises(TlsFormatError, match="key share"):
        base_secret(group, BASE_POINTS[group][:-1])
    with pytest.raises(TlsFormatError, match="key share"):
        FreshKey(group, bytes(FRESH_RANDOM)).secret(bytes(len(BASE_POINTS[group])))
    if group != 29:
        with pytest.raises(TlsFormatError, match="key share"):
            base_secret(group, bytes(len(BASE_POINTS[group])))
