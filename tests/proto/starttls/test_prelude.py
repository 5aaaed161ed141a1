"""Why TLS does not begin."""

from __future__ import annotations

from stages.proto.starttls.prelude import MAX_TOLD_BYTES, StarttlsError


def test_the_error_tells_the_first_bytes() -> None:
    assert str(StarttlsError("no", b"ab")) == "no: 6162"
    assert str(StarttlsError("no")) == "no"
    assert str(StarttlsError("no", b"x" * 500)) == f"no: {'78' * MAX_TOLD_BYTES}"
