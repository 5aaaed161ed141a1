"""Patterns match as `re` does, and none can run away."""

from __future__ import annotations

import re

import hypothesis.strategies as st
import pytest
from hypothesis import assume, given

from stages.proto.rules.patterns import MAX_DEPTH, MAX_PATTERN, MAX_TEXT, compiled


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        (r"www\.[a-z2-7]{8,20}\.net", "www.abcdefg2.net", "www.abcdefg1.net"),
        (r"www\.[a-z2-7]{8,20}\.(com|net)", "www.zzzzzzzzzzzzzzzzzzzz.com", "www.zzzzzzz.com"),
        (r"(?i)netgear.*", "NETGEAR, Inc.", "a netgear"),
        (r".*router.*", "my router!", "rooter"),
        (r"([0-9a-f]{2}:){5}[0-9a-f]{2}", "00:11:22:aa:bb:cc", "00:11:22:aa:bb"),
        (r"a|b?c", "c", "d"),
        (r"[]x-]{2}", "]-", "yy"),
        (r"[^\d]+", "abc", "ab1"),
        (r"\(x\)\{\}\.", "(x){}.", "x"),
        (r"", "", "a"),
    ],
)
def test_as_a_whole(pattern: str, yes: str, no: str) -> None:
    match = compiled(pattern)
    assert match(yes)
    assert not match(no)
    assert not match(yes + "\n" + no)


@pytest.mark.parametrize(
    "pattern",
    [
        "(a+)+", "(a|a)*", "(a?){30}b", ".*.*.*", "(a*b*)*", "(x{1,100}){1,100}", "((a|b){2,9}){2,9}",
        "a{2,1}", "a{0,999}", "a**", "a{2}?", "+a", "{2}", "(?:a)", "(?=a)", "a(?i)", "(a", "a)", "[a", r"\b", r"\1",
        "a\\", "[[:alpha:]]", "[z-a]", "^a", "a$", "a{,3}", "a{x}", "x" * (MAX_PATTERN + 1),
        "(" * (MAX_DEPTH + 2) + ")" * (MAX_DEPTH + 2),
    ],
)  # fmt: skip
def test_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        compiled(pattern)


def test_a_longer_text_does_not_match() -> None:
    assert compiled(".*")("x" * MAX_TEXT)
    assert not compiled(".*")("x" * (MAX_TEXT + 1))


ALPHABET = st.sampled_from(list("ab.*+?{}()[]|\\^-,0123dw(i)"))


@given(st.text(ALPHABET, max_size=30) | st.text(max_size=20))
def test_what_is_let_in_is_what_re_takes(pattern: str) -> None:
    try:
        match = compiled(pattern)
    except ValueError:
        assume(False)
    theirs = re.compile(pattern)  # one that runs away would not come back within the timeout of a test
    for text in ("", "a", "ab", "a" * MAX_TEXT, "ab" * (MAX_TEXT // 2), "a" * (MAX_TEXT - 1) + "!"):
        assert match(text) is (theirs.fullmatch(text) is not None)
