from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.proto.until import MAX_PATTERN, UNTIL_WINDOW, Window, parse_until


@pytest.mark.parametrize(
    "pattern",
    [
        r"\r\n\r\n",
        r"login: ?$",
        r"^220 .*\r\n",
        r"[$#>] ?$",
        r"(?i)ready",
        r"\xff\xfd",
        "ÿ",
        r"(?:\r?\n){2}",
        r"a{1,3}b+",
    ],
)
def test_good_patterns(pattern: str) -> None:
    assert isinstance(parse_until(pattern), re.Pattern)


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("(", "not a regular expression"),
        ("[a", "not a regular expression"),
        (r"(a+)+$", "repetition inside"),
        (r"(a*)*", "repetition inside"),
        (r"(?:a+b?){10,}", "repetition inside"),
        (r"(x(y+)z)+", "repetition inside"),
        (r"(?:a|aa)+$", "repetition inside"),
        (r"(?=(?:a+)+b)", "repetition inside"),
        (r"(?:(?:a*)?)*", "repetition inside"),
        ("€", "U\\+00FF"),
        ("x" * (MAX_PATTERN + 1), "at most"),
        ("a{99999999999}", "not a regular expression"),
    ],
)
def test_bad_patterns(pattern: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        parse_until(pattern)


@given(st.binary(max_size=60), st.integers(0, 60))
def test_how_the_bytes_are_cut_does_not_matter(data: bytes, where: int) -> None:
    text = data[:where] + b"END" + data[where:]
    window = Window(parse_until("END"))
    assert any([window.feed(bytes((byte,))) for byte in text])
    assert Window(parse_until("END")).feed(text)


def test_a_match_in_the_middle_of_a_large_segment_is_found() -> None:
    text = b"x" * 20_000 + b"prompt> " + b"y" * 20_000
    assert Window(parse_until("prompt> ")).feed(text)


def test_what_is_far_apart_does_not_match_and_memory_is_bounded() -> None:
    window = Window(parse_until("(?s)start.*end"))
    assert not window.feed(b"start" + b"x" * (2 * UNTIL_WINDOW))
    assert not window.feed(b"end")
    assert len(window._tail) <= UNTIL_WINDOW


def test_a_match_across_segments_is_found() -> None:
    window = Window(parse_until(r"\r\n\r\n"))
    assert [window.feed(piece) for piece in (b"HTTP/1.1 200 OK\r", b"\n", b"\r", b"\n")] == [False, False, False, True]
