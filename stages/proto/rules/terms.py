"""One condition of a rule, in one line: `[not] FIELD [OPERATOR VALUE]`. Pure.

    self signed                     a flag stands alone
    suite in 0x0039, TLS_DHE_RSA_WITH_AES_128_CBC_SHA
    version <= tls1.2               numbers, versions and durations have an order
    validity <= 2h
    extensions == 65281, 11         of the ServerHello, in its order
    extensions has 65281
    subject CN matches www\\.[a-z2-7]{8,20}\\.net
    issuer O == "Acme, Inc."        quotes keep commas and blanks

Of a field that was not seen no condition holds, and neither does its contrary: `not self signed` needs a certificate.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from stages.proto.rules.codes import extension_code, suite_code, version_code
from stages.proto.rules.fields import FIELDS, Field, Kind, Seen
from stages.proto.rules.patterns import compiled

#: Characters of a condition.
MAX_LINE: Final = 4096
#: Values in one list.
MAX_VALUES: Final = 256

_OPERATOR: Final = re.compile(r"(==|!=|<=|>=|<|>|in\b|has\b|matches\b)\s*", re.ASCII)
_DURATION: Final = re.compile(r"(\d{1,9})\s*(s|m|h|d|y)", re.ASCII)
_NUMBER: Final = re.compile(r"\d{1,18}", re.ASCII)
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "y": 31_536_000}

_ORDERED: Final = ("==", "!=", "<=", ">=", "<", ">", "in")
OPERATORS: Final[dict[Kind, tuple[str, ...]]] = {
    Kind.FLAG: (),
    Kind.NUMBER: _ORDERED,
    Kind.DURATION: _ORDERED,
    Kind.VERSION: _ORDERED,
    Kind.SUITE: ("==", "!=", "in"),
    Kind.CODES: ("==", "!=", "has"),
    Kind.TEXT: ("==", "!=", "in", "matches"),
}

Test = Callable[[Any], bool]

_COMPARE: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "==": lambda have, want: bool(have == want),
    "!=": lambda have, want: bool(have != want),
    "<=": lambda have, want: bool(have <= want),
    ">=": lambda have, want: bool(have >= want),
    "<": lambda have, want: bool(have < want),
    ">": lambda have, want: bool(have > want),
}


class Term:
    """A condition. `holds` is None where the field was not seen."""

    __slots__ = ("_negated", "_test", "field", "line")

    def __init__(self, line: str, field: Field, test: Test, negated: bool) -> None:
        self.line = line
        self.field = field
        self._test = test
        self._negated = negated

    def holds(self, seen: Seen) -> bool | None:
        value = seen.value(self.field)
        if value is None:
            return None
        return self._test(value) is not self._negated


def term(line: str) -> Term:
    """Read one. Raises ValueError."""
    if len(line) > MAX_LINE:
        raise ValueError(f"a condition of {len(line)} characters, at most {MAX_LINE}")
    words = line.strip()
    negated = words.lower().startswith("not ")
    if negated:
        words = words[4:].lstrip()
    field, rest = _field(words)
    operators = OPERATORS[field.kind]
    if not operators:
        if rest:
            raise ValueError(f"{field.name!r} holds or does not; nothing can follow it")
        return Term(line, field, bool, negated)
    found = _OPERATOR.match(rest)
    if found is None or found[1] not in operators:
        raise ValueError(f"{field.name!r} is compared by one of {' '.join(operators)}")
    return Term(line, field, _test(field.kind, found[1], rest[found.end() :].strip()), negated)


def _field(words: str) -> tuple[Field, str]:
    """The field at the start, the longest that fits, and what follows it."""
    parts = words.split()
    for count in range(min(3, len(parts)), 0, -1):
        field = FIELDS.get(" ".join(parts[:count]).lower())
        if field is not None:
            rest = words
            for part in parts[:count]:
                rest = rest.lstrip()[len(part) :]
            return field, rest.strip()
    attached = re.match(r"[A-Za-z0-9 ]+", words)  # `suite==0x39`
    name = " ".join((attached[0] if attached else "").split()).lower()
    if attached is not None and name in FIELDS:
        return FIELDS[name], words[attached.end() :].strip()
    raise ValueError("begins with no field: one of " + ", ".join(sorted(each.name for each in FIELDS.values())))


def _test(kind: Kind, operator: str, text: str) -> Test:
    if not text:
        raise ValueError(f"nothing stands behind {operator!r}")
    if operator == "matches":
        match = compiled(text)
        return lambda values: any(match(value) for value in values)
    if kind is Kind.TEXT:
        return _text_test(operator, _values(text))
    read = _READERS[kind]
    if kind is Kind.CODES:
        codes = tuple(read(value) for value in _values(text)) if text != "none" else ()
        if operator == "has":
            if not codes:
                raise ValueError("`has none`: write `== none`")
            return lambda have: all(code in have for code in codes)
        return lambda have: (tuple(have) == codes) is (operator == "==")
    if operator == "in":
        wanted = frozenset(read(value) for value in _values(text))
        return lambda have: have in wanted
    one, compare = read(text), _COMPARE[operator]
    return lambda have: compare(have, one)


def _text_test(operator: str, values: Sequence[str]) -> Test:
    if operator != "in" and len(values) > 1:
        raise ValueError(f"{operator!r} takes one value; a comma in it needs quotes around it")
    wanted = frozenset(values)
    if operator == "!=":
        return lambda have: not any(value in wanted for value in have)
    return lambda have: any(value in wanted for value in have)


def _values(text: str) -> list[str]:
    """By comma; in quotes as it stands."""
    values: list[str] = []
    at = 0
    while True:
        while at < len(text) and text[at] == " ":
            at += 1
        if at < len(text) and text[at] in "'\"":
            end = text.find(text[at], at + 1)
            if end < 0:
                raise ValueError("a quote that is not closed")
            values.append(text[at + 1 : end])
            at = end + 1
            while at < len(text) and text[at] == " ":
                at += 1
        else:
            end = text.find(",", at)
            end = len(text) if end < 0 else end
            values.append(text[at:end].strip())
            at = end
            if not values[-1]:
                raise ValueError("an empty value; one that is meant is written ''")
        if len(values) > MAX_VALUES:
            raise ValueError(f"more than {MAX_VALUES} values")
        if at >= len(text):
            return values
        if text[at] != ",":
            raise ValueError("something stands behind a quote that is no comma")
        at += 1


def _number(text: str) -> int:
    if _NUMBER.fullmatch(text) is None:
        raise ValueError(f"{text!r} is not a number")
    return int(text)


def _duration(text: str) -> int:
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not a duration like 2h: s, m, h, d, y")
    return int(found[1]) * _SECONDS[found[2]]


_READERS: Final[dict[Kind, Callable[[str], int]]] = {
    Kind.NUMBER: _number,
    Kind.DURATION: _duration,
    Kind.VERSION: version_code,
    Kind.SUITE: suite_code,
    Kind.CODES: extension_code,
}
