"""Chains as records have them: the issuers, remembered, are what they would be anew."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from stages.core.chains import _MAX_ISSUER_BYTES, chain_b64, chain_hashes

BIG = bytes(_MAX_ISSUER_BYTES + 1)


@given(st.lists(st.binary(max_size=40) | st.sampled_from((BIG, BIG[:-1])), max_size=5))
def test_every_place_is_its_own(chain: list[bytes]) -> None:
    for _ in range(2):
        assert chain_hashes(chain) == [sha256(der).hexdigest() for der in chain]
        assert chain_b64(chain) == [b64encode(der).decode() for der in chain]
