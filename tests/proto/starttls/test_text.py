"""The walk through lines."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.proto.starttls.prelude import MAX_PRELUDE_BYTES, StarttlsError
from stages.proto.starttls.text import TextPrelude, step
from tests.proto.starttls.peers import hear, walk

STEPS = (step("", r"\d{3}(?!-)", "220"), step("MORE\r\n", r"\d{3}(?!-)", "250", "TLS"), step("GO\r\n", r"\d", "2"))
TURNS = [(b"220-a\r\n220 b\r\n", b"MORE\r\n"), (b"250-startTLS\r\n250 x\n", b"GO\r\n"), (b"220 go\r\n", b"")]


@pytest.mark.parametrize("size", [None, 1, 3])
def test_the_way_to_tls(size: int | None) -> None:
    walk(TextPrelude(STEPS), TURNS, size)


def test_what_comes_behind_the_last_word_is_kept() -> None:
    one = TextPrelude(STEPS[:1])
    assert one.receive(b"220 hello\r\nand more") == b""
    assert (one.ready, one.rest) == (True, b"and more")


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ([b"554 go away\r\n"], "the greeting was not answered as it should be: " + b"554 go away".hex()),
        ([b"220 a\r\n", b"500 what?\r\n"], "MORE was not answered"),
        ([b"220 a\r\n", b"250 ok\r\n"], "TLS is not offered"),
        ([b"220 a\r\n", b"250 TLS\r\n", b"454 not now\r\n"], "GO was not answered"),
    ],
)
def test_the_ways_that_do_not_lead_there(said: list[bytes], why: str) -> None:
    one = TextPrelude(STEPS)
    with pytest.raises(StarttlsError, match=why):
        hear(one, said)
    assert not one.ready


@pytest.mark.parametrize("piece", [b"220-more\r\n", b"x" * 100, b"\r\n"])
def test_a_server_without_end(piece: bytes) -> None:
    one = TextPrelude(STEPS)
    with pytest.raises(StarttlsError, match=f"more than {MAX_PRELUDE_BYTES} bytes"):
        hear(one, [piece] * MAX_PRELUDE_BYTES)


@given(st.lists(st.binary(min_size=1, max_size=30), max_size=20))
def test_any_bytes(pieces: list[bytes]) -> None:
    """However wrong: it is ready only behind the third answer, and what it says is its own."""
    one, said, heard = TextPrelude(STEPS), b"", b""
    with suppress(StarttlsError):
        for piece in pieces:
            if not one.ready:
                heard += piece
                said += one.receive(piece)
    assert said in (b"", b"MORE\r\n", b"MORE\r\nGO\r\n")
    assert heard.endswith(one.rest)
    assert not one.ready or (said == b"MORE\r\nGO\r\n" and heard.count(b"\n") >= 3)
