"""Regular expressions that cannot run away: what a hostile certificate says is matched in bounded time. Pure.

Python's `re` may take exponential time for a pattern like `(a+)+b`. A pattern is counted before it is used: the number
of ways in which it may match a text of MAX_TEXT characters is at most MAX_WAYS, or it is refused. `.*x.*` is within
that, three stars are not.

    ways of a character or class      1
    of what follows one another       the product
    of alternatives                   the sum
    of X{m,n}                         the sum over k = m..n of (ways of X) to the power k
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

#: Characters of a text that are matched: names in certificates are shorter (RFC 5280 appendix A: 64).
MAX_TEXT: Final = 256

#: Characters of a pattern.
MAX_PATTERN: Final = 256

#: Two stars over MAX_TEXT characters: some milliseconds at worst.
MAX_WAYS: Final = 100_000

#: Groups inside one another.
MAX_DEPTH: Final = 8

_CLASSES: Final = frozenset("dDwWsS")
_ESCAPED: Final = frozenset(r".^$*+?{}[]\|()-/ ")
_QUANTIFIER: Final = re.compile(r"\{(\d{1,3})(?:(,)(\d{1,3})?)?\}")


def compiled(pattern: str) -> Callable[[str], bool]:
    """Whether a text matches as a whole; one longer than MAX_TEXT does not. Raises ValueError: no such pattern.

    Characters, `\\.`, `.`, `\\d` `\\w` `\\s`, classes, groups `( )`, alternatives, `*` `+` `?` `{m,n}`; `(?i)` in
    front: without case.
    """
    if len(pattern) > MAX_PATTERN:
        raise ValueError(f"a pattern of {len(pattern)} characters, at most {MAX_PATTERN}")
    bare = pattern.removeprefix("(?i)")
    counter = _Counter(bare)
    ways = counter.alternatives(0)
    if counter.at < len(bare):
        raise ValueError("a bracket is closed that was not opened")
    if ways > MAX_WAYS:
        raise ValueError("a pattern that may take too long: too many repeats, or a repeat within a repeat")
    try:
        match = re.compile(bare, re.IGNORECASE if bare != pattern else 0).fullmatch
    except re.error as error:
        raise ValueError(str(error)) from None
    return lambda text: len(text) <= MAX_TEXT and match(text) is not None


class _Counter:
    """Reads a pattern and counts its ways; more than MAX_WAYS are not told apart."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.at = 0

    def alternatives(self, depth: int) -> int:
        if depth > MAX_DEPTH:
            raise ValueError(f"more than {MAX_DEPTH} groups inside one another")
        ways = self._sequence(depth)
        while self._next() == "|":
            self.at += 1
            ways = _capped(ways + self._sequence(depth))
        return ways

    def _next(self) -> str:
        return self.pattern[self.at : self.at + 1]

    def _sequence(self, depth: int) -> int:
        ways = 1
        while (character := self._next()) and character not in "|)":
            ways = _capped(ways * self._repeated(self._one(character, depth)))
        return ways

    def _one(self, character: str, depth: int) -> int:
        self.at += 1
        if character == "(":
            if self._next() == "?":
                raise ValueError("a group with a question mark in front, other than (?i) at the start")
            ways = self.alternatives(depth + 1)
            if self._next() != ")":
                raise ValueError("a bracket that is not closed")
            self.at += 1
            return ways
        if character == "[":
            self._class()
        elif character == "\\":
            self._escape()
        elif character in "*+?{":
            raise ValueError(f"{character!r} with nothing in front of it")
        elif character in "^$":
            raise ValueError(f"{character!r}: a text matches as a whole anyway")
        return 1

    def _escape(self) -> None:
        escaped = self._next()
        if not escaped or escaped not in _CLASSES | _ESCAPED:
            raise ValueError(f"an escape \\{escaped} that means nothing here")
        self.at += 1

    def _class(self) -> None:
        if self._next() == "^":
            self.at += 1
        first = True
        while (character := self._next()) != "]" or first:
            if not character:
                raise ValueError("a class that is not closed")
            if character == "[" or self.pattern[self.at : self.at + 2] in ("--", "&&", "||", "~~"):
                raise ValueError("a class inside a class")
            self.at += 1
            if character == "\\":
                self._escape()
            first = False
        self.at += 1

    def _repeated(self, ways: int) -> int:
        character = self._next()
        least, most = 1, 1
        if character in ("*", "+", "?"):
            least, most = (1 if character == "+" else 0), (1 if character == "?" else MAX_TEXT)
            self.at += 1
        elif character == "{":
            found = _QUANTIFIER.match(self.pattern, self.at)
            if found is None:
                raise ValueError("a curly bracket that is no count; as a character it is \\{")
            least = int(found[1])
            most = least if found[2] is None else int(found[3]) if found[3] is not None else MAX_TEXT
            if not least <= most <= MAX_TEXT:
                raise ValueError(f"a count that is not between 0 and {MAX_TEXT}, the lower first")
            self.at = found.end()
        else:
            return ways
        if self._next() in ("*", "+", "?", "{"):
            raise ValueError("a repeat of a repeat")
        total = 0
        for times in range(least, most + 1):
            total = _capped(total + _capped_power(ways, times))
            if total > MAX_WAYS:
                break
        return total


def _capped(ways: int) -> int:
    return min(ways, MAX_WAYS + 1)


def _capped_power(ways: int, times: int) -> int:
    return 1 if ways == 1 else _capped(int(ways ** min(times, 20)))
