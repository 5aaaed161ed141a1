from __future__ import annotations

import pytest

from stages.scanner.filters.lexer import MAX_LENGTH, FilterError, caret, tokens


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("a1 = 1", [("word", "a1"), ("operator", "="), ("number", "1")]),
        ("a==1&&b!=0x1F", [("word", "a"), ("operator", "=="), ("number", "1"), ("operator", "&&"), ("word", "b"),
                           ("operator", "!="), ("number", "0x1F")]),
        ("saddr-raw<=2", [("word", "saddr-raw"), ("operator", "<="), ("number", "2")]),
        ("x in (1, 8-9)", [("word", "x"), ("word", "in"), ("operator", "("), ("number", "1"), ("operator", ","),
                           ("range", "8-9"), ("operator", ")")]),
        ("10.0.0.0/8 ::1 fe80::/10 ::ffff:1.2.3.4",
         [("address", "10.0.0.0/8"), ("address", "::1"), ("address", "fe80::/10"), ("address", "::ffff:1.2.3.4")]),
        (r'"a \"b\" \\" ' + "'c'", [("string", 'a "b" \\'), ("string", "c")]),
        ("-5 0.25 1e3 -0.5", [("number", "-5"), ("number", "0.25"), ("number", "1e3"), ("number", "-0.5")]),
    ],
)  # fmt: skip
def test_words(text: str, expected: list[tuple[str, str]]) -> None:
    found = tokens(text)
    assert [(token.kind, token.text) for token in found[:-1]] == expected
    assert (found[-1].kind, found[-1].start) == ("end", len(text))


@pytest.mark.parametrize(
    ("text", "start", "problem"),
    [
        ("a & b", 2, "'&' alone: it is written '&&'"),
        ("a | b", 2, "'|' alone: it is written '||'"),
        ('a = "b', 4, "a quote that nothing closes"),
        ("a = 5 ; b", 6, "';' has no meaning here"),
        ("ä = 5", 0, "'ä' has no meaning here"),
    ],
)
def test_what_is_no_word(text: str, start: int, problem: str) -> None:
    with pytest.raises(FilterError) as raised:
        tokens(text)
    assert (raised.value.start, raised.value.problem) == (start, problem)


def test_the_caret_stands_under_the_mistake() -> None:
    assert caret("ttl = abc", 6, 9) == "  ttl = abc\n        ^^^"
    assert caret("ttl = 1 &&\n\tfoo = 2", 12, 15) == "   foo = 2\n   ^^^"  # the line it is in, a tab as one place
    assert caret("ttl =", 5, 5) == "  ttl =\n       ^"


def test_a_filter_has_an_end() -> None:
    with pytest.raises(FilterError, match="at most"):
        tokens("a" * (MAX_LENGTH + 1))
