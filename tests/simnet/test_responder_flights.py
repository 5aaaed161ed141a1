from __future__ import annotations

from datetime import UTC, datetime

from cryptography import x509

from stages.simnet.responder_flights import chains, flights
from stages.simnet.responder_spec import SEGMENT
from stages.simnet.responder_words import MAX_SEGMENTS


def test_flights_are_whole_records_with_the_chains_in_them() -> None:
    made = chains(datetime.now(UTC))
    said = flights(made)
    assert len(set(said)) == len(made) == 3
    for chain, flight in zip(made, said, strict=True):
        kinds, at = [], 0
        while at < len(flight):
            assert flight[at : at + 3] == b"\x16\x03\x03"
            size = int.from_bytes(flight[at + 3 : at + 5], "big")
            kinds.append(flight[at + 5])
            at += 5 + size
        assert at == len(flight) <= MAX_SEGMENTS * SEGMENT
        assert kinds == [2, 11, 14]
        assert b"".join(len(der).to_bytes(3, "big") + der for der in chain) in flight
        for der in chain:
            assert x509.load_der_x509_certificate(der)
    sizes = sorted(-(-len(flight) // SEGMENT) for flight in said)
    assert sizes[0] == 1
    assert sizes[-1] > 1
