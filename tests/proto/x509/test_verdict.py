"""A verdict as it is stored."""

from stages.proto.x509.verdict import Is, Verdict


def test_a_verdict_says_what_and_why() -> None:
    assert Verdict(Is.UNKNOWN, "its end could not be read").document() == {
        "is": "unknown",
        "why": "its end could not be read",
    }
