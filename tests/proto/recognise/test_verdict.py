"""The shapes that recognisers are made of."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.proto.recognise.verdict import LINE, Verdict, either, line, printable, shape, starts

NO, MORE, YES = Verdict.NO, Verdict.MORE, Verdict.YES


@pytest.mark.parametrize(
    ("data", "verdict"),
    [(b"", MORE), (b"a", MORE), (b"a1f", MORE), (b"a1f\0", YES), (b"a1F\xffz", YES), (b"ax", NO), (b"a1g", NO)],
)
def test_shape(data: bytes, verdict: Verdict) -> None:
    assert shape("a#%?")(data) is verdict


@pytest.mark.parametrize(
    ("data", "verdict"), [(b"", MORE), (b"h", MORE), (b"HELO", YES), (b"hex", NO), (b"ehlo x", YES), (b"helm", NO)]
)
def test_starts(data: bytes, verdict: Verdict) -> None:
    assert starts(b"helo", b"EHLO")(data) is verdict


@pytest.mark.parametrize(
    ("data", "verdict"),
    [
        (b"2", MORE),
        (b"200 ", MORE),
        (b"200 news", MORE),
        (b"200 NEWS\n", YES),
        (b"200 x\nnews\n", NO),
        (b"200 news" + b"x" * LINE, YES),
        (b"200 " + b"x" * LINE + b"news\n", NO),
        (b"201", NO),
    ],
)
def test_line(data: bytes, verdict: Verdict) -> None:
    assert line(starts(b"200 "), "news")(data) is verdict


@given(st.binary(max_size=6))
def test_either_says_the_most_that_any_says(data: bytes) -> None:
    one, other = shape("ab#"), starts(b"abc", b"x")
    said = {one(data), other(data)}
    assert either(one, other)(data) is (YES if YES in said else MORE if MORE in said else NO)


def test_printable() -> None:
    assert printable("5.5.5-10.11 größer\r\n".encode())
    assert not printable(b"5.5\0")
    assert not printable(b"\x7f")
