"""What a table of one recogniser must hold: greetings that it knows in every prefix, near misses that it refuses."""

from __future__ import annotations

from stages.proto.recognise.verdict import Recogniser, Verdict


def is_known(recognise: Recogniser, data: bytes) -> None:
    """YES, and on the way there never NO and never back."""
    said = [recognise(data[:cut]) for cut in range(len(data) + 1)]
    assert said[-1] is Verdict.YES
    assert Verdict.NO not in said
    first = said.index(Verdict.YES)
    assert set(said[first:]) == {Verdict.YES}
    assert recognise(data + b"\0\xffmore") is Verdict.YES


def is_refused(recognise: Recogniser, data: bytes) -> None:
    """NO, and NO whatever comes behind it."""
    assert recognise(data) is Verdict.NO
    assert recognise(data + b"\0\xffmore\r\n" * 9) is Verdict.NO
