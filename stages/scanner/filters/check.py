"""Types: what a comparison means for the field that it is about, or why it cannot be. Pure.

Of every field is known whether it holds numbers, words or addresses (`--list-output-fields`); booleans are the numbers
0 and 1, as in ZMap. After this nothing can go wrong any more.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from ipaddress import ip_network
from typing import Final, Literal, TypeAlias

from stages.scanner.fields import Field, alias_of
from stages.scanner.filters.lexer import FilterError, Token
from stages.scanner.filters.syntax import And, Compare, Not, Or, Tree

#: Text fields that hold an address: they can be compared with networks.
ADDRESSES: Final = ("saddr", "daddr", "icmp_responder")

#: Characters of a number, at most: 64 bits are 20 digits, and an integer of thousands takes its time.
MAX_DIGITS: Final = 64

_BITS: Final = {4: 32, 6: 128}
_BOOLEANS: Final = {"true": 1, "false": 0}
_NULL: Final = "null"
_ORDERED: Final = ("<", ">", "<=", ">=")

Operator: TypeAlias = Literal["=", "!=", "<", ">", "<=", ">="]


@dataclass(frozen=True, slots=True)
class Known:
    """Whether the answer has the field."""

    field: Field
    known: bool


@dataclass(frozen=True, slots=True)
class Numbers:
    """A number against a bound."""

    field: Field
    operator: Operator
    value: float


@dataclass(frozen=True, slots=True)
class Among:
    """A number in one of some ranges, both ends included; `outside`: in none."""

    field: Field
    ranges: tuple[tuple[float, float], ...]
    outside: bool = False


@dataclass(frozen=True, slots=True)
class Words:
    """A text that is one of some; `outside`: none of them."""

    field: Field
    words: frozenset[str]
    outside: bool = False


@dataclass(frozen=True, slots=True)
class Networks:
    """An address in one of some ranges: (version, first, last); `outside`: in none."""

    field: Field
    ranges: tuple[tuple[int, int, int], ...]
    outside: bool = False


Checked: TypeAlias = "Known | Numbers | Among | Words | Networks | Every | Any | Inverse"


@dataclass(frozen=True, slots=True)
class Every:
    parts: tuple[Checked, ...]


@dataclass(frozen=True, slots=True)
class Any:
    parts: tuple[Checked, ...]


@dataclass(frozen=True, slots=True)
class Inverse:
    inside: Checked


def check(tree: Tree, text: str, fields: Mapping[str, Field], probe: str) -> Checked:
    """`tree` of the filter `text` with the fields of `probe`. Raises FilterError."""
    match tree:
        case And(parts):
            return Every(tuple(check(part, text, fields, probe) for part in parts))
        case Or(parts):
            return Any(tuple(check(part, text, fields, probe) for part in parts))
        case Not(inside):
            return Inverse(check(inside, text, fields, probe))
        case Compare():
            return _Comparison(text, fields, probe).check(tree)


class _Comparison:
    def __init__(self, text: str, fields: Mapping[str, Field], probe: str) -> None:
        self._text = text
        self._fields = fields
        self._probe = probe

    def check(self, compare: Compare) -> Checked:
        field = self._field(compare.field)
        operator = compare.operator.text.lower().replace("==", "=")
        if operator in ("=", "!=") and self._is_null(compare.values[0]):
            return Known(field, known=operator == "!=")
        if field.name in ADDRESSES:
            return self._addresses(field, compare, operator)
        if field.type == "string":
            return self._words(field, compare, operator)
        if field.type in ("int", "bool", "float"):
            return self._numbers(field, compare, operator)
        raise self._error(compare.field, f"{field.name} is {field.type}: it cannot be compared")

    def _field(self, token: Token) -> Field:
        known = self._fields.get(alias_of(token.text, self._fields))
        if known is None:
            close = get_close_matches(token.text, list(self._fields), n=1, cutoff=0.5)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise self._error(token, f"{self._probe} has no field {token.text!r}{hint}")
        return known

    def _is_null(self, token: Token) -> bool:
        return token.kind == "word" and token.text.lower() == _NULL

    def _numbers(self, field: Field, compare: Compare, operator: str) -> Checked:
        if operator == "in":
            return Among(field, tuple(self._range(field, token) for token in compare.values))
        (token,) = compare.values
        if token.kind == "range":
            if operator in _ORDERED:
                raise self._error(token, f"a range has no {operator!r}: it is for =, != and in")
            return Among(field, (self._range(field, token),), outside=operator == "!=")
        return Numbers(field, operator, self._number(field, token))  # type: ignore[arg-type]

    def _range(self, field: Field, token: Token) -> tuple[float, float]:
        if token.kind != "range":
            value = self._number(field, token)
            return value, value
        if len(token.text) > MAX_DIGITS:
            raise self._error(token, f"a range of more than {MAX_DIGITS} characters")
        low, _, high = token.text.partition("-")
        if int(low) > int(high):
            raise self._error(token, "an inverted range: its end is before its start")
        return int(low), int(high)

    def _number(self, field: Field, token: Token) -> float:
        if token.kind == "word" and field.type == "bool" and token.text.lower() in _BOOLEANS:
            return _BOOLEANS[token.text.lower()]
        if token.kind != "number":
            raise self._error(token, f"{field.name} is a number, and {token.text!r} is none")
        if len(token.text) > MAX_DIGITS:
            raise self._error(token, f"a number of more than {MAX_DIGITS} characters")
        try:
            return int(token.text, 0) if "x" in token.text.lower() else int(token.text)
        except ValueError:
            value = float(token.text)
        if not math.isfinite(value):
            raise self._error(token, f"{token.text} is too large")
        if value.is_integer():
            return int(value)
        if field.type != "float":
            raise self._error(token, f"{field.name} is a whole number, and {token.text} is none")
        return value

    def _words(self, field: Field, compare: Compare, operator: str) -> Checked:
        if operator in _ORDERED:
            raise self._error(compare.operator, f"{field.name} is text, which has no {operator!r}: only =, != and in")
        for token in compare.values:
            if token.kind not in ("word", "string"):
                raise self._error(token, f"{field.name} is text: write {token.text} in quotes")
        return Words(field, frozenset(token.text for token in compare.values), outside=operator == "!=")

    def _addresses(self, field: Field, compare: Compare, operator: str) -> Checked:
        if operator in _ORDERED:
            problem = f"{field.name} is an address, which has no {operator!r}: only =, != and in"
            raise self._error(compare.operator, problem)
        return Networks(field, tuple(map(self._network, compare.values)), outside=operator == "!=")

    def _network(self, token: Token) -> tuple[int, int, int]:
        if token.kind in ("address", "string"):
            try:
                network = ip_network(token.text, strict=False)
            except ValueError:
                pass
            else:
                first = int(network.network_address)
                return network.version, first, first + (1 << (_BITS[network.version] - network.prefixlen)) - 1
        raise self._error(token, f"{token.text!r} is neither an address nor a network such as 10.0.0.0/8")

    def _error(self, token: Token, problem: str) -> FilterError:
        return FilterError(self._text, token.start, token.end, problem)
