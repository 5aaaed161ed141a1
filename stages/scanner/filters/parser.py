"""From words to a tree, by recursive descent. Pure.

either := both { "||" both }
both   := one { "&&" one }
one    := "!" one | "(" either ")" | FIELD op VALUE | FIELD "in" ( VALUE | "(" VALUE { "," VALUE } ")" )
"""

from __future__ import annotations

from typing import Final

from stages.scanner.filters.lexer import FilterError, Token, tokens
from stages.scanner.filters.syntax import And, Compare, Not, Or, Tree

#: Parentheses and `!` within each other, at most: the parser calls itself for each.
MAX_DEPTH: Final = 100

OPERATORS: Final = ("=", "==", "!=", "<", ">", "<=", ">=")
_VALUES: Final = ("number", "range", "address", "string", "word")


def parse(text: str) -> Tree | None:
    """The tree of `text`; None for an empty one, which lets everything through. Raises FilterError."""
    words = tokens(text)
    if words[0].kind == "end":
        return None
    parser = _Parser(text, words)
    tree = parser.either(0)
    if parser.now.kind != "end":
        raise parser.error(f"{parser.now.text!r} where '&&', '||' or the end was expected")
    return tree


class _Parser:
    def __init__(self, text: str, words: list[Token]) -> None:
        self._text = text
        self._words = words
        self._at = 0

    @property
    def now(self) -> Token:
        return self._words[self._at]

    def error(self, problem: str) -> FilterError:
        return FilterError(self._text, self.now.start, self.now.end, problem)

    def _take(self) -> Token:
        token = self.now
        self._at += token.kind != "end"
        return token

    def _is(self, text: str) -> bool:
        return self.now.kind == "operator" and self.now.text == text

    def either(self, depth: int) -> Tree:
        parts = [self._both(depth)]
        while self._is("||"):
            self._take()
            parts.append(self._both(depth))
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def _both(self, depth: int) -> Tree:
        parts = [self._one(depth)]
        while self._is("&&"):
            self._take()
            parts.append(self._one(depth))
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def _one(self, depth: int) -> Tree:
        if depth > MAX_DEPTH:
            raise self.error(f"more than {MAX_DEPTH} parentheses within each other")
        if self._is("!"):
            self._take()
            return Not(self._one(depth + 1))
        if self._is("("):
            self._take()
            inside = self.either(depth + 1)
            self._close()
            return inside
        return self._comparison()

    def _comparison(self) -> Tree:
        if self.now.kind != "word":
            raise self.error(f"{self._shown()} where a field was expected")
        field = self._take()
        operator = self.now
        if operator.kind == "word" and operator.text.lower() == "in":
            self._take()
            return Compare(field, operator, self._list())
        if operator.kind != "operator" or operator.text not in OPERATORS:
            raise self.error(f"{self._shown()} where an operator was expected: =, !=, <, >, <=, >= or in")
        self._take()
        return Compare(field, operator, (self._value(),))

    def _list(self) -> tuple[Token, ...]:
        if not self._is("("):
            return (self._value(),)
        self._take()
        values = [self._value()]
        while self._is(","):
            self._take()
            values.append(self._value())
        self._close()
        return tuple(values)

    def _value(self) -> Token:
        if self.now.kind not in _VALUES:
            raise self.error(f"{self._shown()} where a value was expected")
        return self._take()

    def _close(self) -> None:
        if not self._is(")"):
            raise self.error(f"{self._shown()} where ')' was expected")
        self._take()

    def _shown(self) -> str:
        return "the end" if self.now.kind == "end" else repr(self.now.text)
