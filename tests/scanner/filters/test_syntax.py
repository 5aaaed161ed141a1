from __future__ import annotations

from stages.scanner.filters.lexer import tokens
from stages.scanner.filters.syntax import And, Compare, Not, Or


def test_trees_are_values() -> None:
    field, operator, value, _ = tokens("ttl = 1")
    one = Compare(field, operator, (value,))
    assert Or((And((one, Not(one))), one)) == Or((And((one, Not(one))), one))
    assert Not(one) != one
