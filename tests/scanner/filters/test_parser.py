from __future__ import annotations

import pytest

from stages.scanner.filters.lexer import FilterError
from stages.scanner.filters.parser import MAX_DEPTH, parse
from stages.scanner.filters.syntax import And, Compare, Not, Or, Tree


def shown(tree: Tree) -> str:
    match tree:
        case Compare(field, operator, values):
            return f"{field.text}{operator.text}{'|'.join(value.text for value in values)}"
        case Not(inside):
            return f"!{shown(inside)}"
        case And(parts):
            return f"({' & '.join(map(shown, parts))})"
        case Or(parts):
            return f"({' + '.join(map(shown, parts))})"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("success = 1 && repeat = 0", "(success=1 & repeat=0)"),
        ("(classification = rst && ttl > 10) || classification = synack",
         "((classification=rst & ttl>10) + classification=synack)"),
        ("aa=1 || bb=2 && cc=3 || dd=4", "(aa=1 + (bb=2 & cc=3) + dd=4)"),
        ("aa=1 && (bb=2 || cc=3)", "(aa=1 & (bb=2 + cc=3))"),
        ("!aa=1 && !(bb=2)", "(!aa=1 & !bb=2)"),
        ("!!aa=1", "!!aa=1"),
        ("sport in (80, 443,8000-8100)", "sportin80|443|8000-8100"),
        ("sport IN 80", "sportIN80"),
        ("((((aa == 1))))", "aa==1"),
    ],
)  # fmt: skip
def test_trees(text: str, expected: str) -> None:
    tree = parse(text)
    assert tree is not None
    assert shown(tree) == expected


def test_nothing_lets_all_through() -> None:
    assert parse("") is None
    assert parse("  \n") is None


@pytest.mark.parametrize(
    ("text", "start", "problem"),
    [
        ("aa", 2, "the end where an operator was expected: =, !=, <, >, <=, >= or in"),
        ("aa =", 4, "the end where a value was expected"),
        ("= 5", 0, "'=' where a field was expected"),
        ("5 = aa", 0, "'5' where a field was expected"),
        ("aa = 5 bb = 6", 7, "'bb' where '&&', '||' or the end was expected"),
        ("aa = 5 &&", 9, "the end where a field was expected"),
        ("(aa = 5", 7, "the end where ')' was expected"),
        ("aa = 5)", 6, "')' where '&&', '||' or the end was expected"),
        ("aa in (80", 9, "the end where ')' was expected"),
        ("aa in ()", 7, "')' where a value was expected"),
        ("aa in (80,)", 10, "')' where a value was expected"),
        ("aa = (80)", 5, "'(' where a value was expected"),
        ("aa ! = 5", 3, "'!' where an operator was expected: =, !=, <, >, <=, >= or in"),
        ("()", 1, "')' where a field was expected"),
    ],
)
def test_what_is_no_filter(text: str, start: int, problem: str) -> None:
    with pytest.raises(FilterError) as raised:
        parse(text)
    assert (raised.value.start, raised.value.problem) == (start, problem)


def test_depth_is_bounded() -> None:
    assert parse("(" * MAX_DEPTH + "aa=1" + ")" * MAX_DEPTH) is not None
    for deep in ("(" * 50_000, "!" * 50_000):
        with pytest.raises(FilterError, match="within each other"):
            parse(deep)
