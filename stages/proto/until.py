"""`--until REGEX`: reading ends when the pattern stands in what was read. Pure.

The bytes come from strangers, so both sides are bounded: the search sees at most the last UNTIL_WINDOW bytes, and a
pattern whose repetitions are nested (`(a+)+`) is refused, because Python's matcher backtracks over it in exponential
time. What remains is at worst quadratic in the window.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from re import _constants as _re_constants  # type: ignore[attr-defined]
from re import _parser as _re_parser  # type: ignore[attr-defined]
from typing import Any, Final

#: Bytes that one search looks at: prompts and ends of greetings are short.
UNTIL_WINDOW: Final = 4_096

#: Characters of a pattern; longer ones are a mistake in the command line.
MAX_PATTERN: Final = 1_024

#: A repetition with a bound at or below this is not counted as one: `(?:\r?\n){1,4}` is harmless.
_SMALL_REPEAT: Final = 8


def parse_until(pattern: str) -> re.Pattern[bytes]:
    """Compile a pattern over bytes (latin-1, so that `\\xff` and characters up to U+00FF mean one byte).

    Raises ValueError when it is no regular expression, too long, or nests repetitions.
    """
    if len(pattern) > MAX_PATTERN:
        raise ValueError(f"{len(pattern)} characters, at most {MAX_PATTERN}")
    try:
        raw = pattern.encode("latin-1")
    except UnicodeEncodeError:
        raise ValueError("only characters up to U+00FF: the pattern is matched against bytes") from None
    try:
        compiled = re.compile(raw)
        tree = _re_parser.parse(raw)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"not a regular expression: {error}") from None
    if _nested(tree, inside=False):
        raise ValueError("a repetition inside a repetition, which can take exponential time")
    return compiled


def _nested(tree: Iterable[Any], *, inside: bool) -> bool:
    """Whether a backtracking repetition stands inside another one, or alternatives stand inside one."""
    for operator, argument in tree:
        if operator in (_re_constants.MAX_REPEAT, _re_constants.MIN_REPEAT):
            _, most, body = argument
            repeats = most > _SMALL_REPEAT
            if (repeats and inside) or _nested(body, inside=inside or repeats):
                return True
        elif operator is _re_constants.BRANCH:
            if inside or any(_nested(body, inside=inside) for body in argument[1]):
                return True
        elif any(_nested(body, inside=inside) for body in _bodies(argument)):
            return True
    return False


def _bodies(argument: Any) -> list[Any]:
    """The sub-patterns among the arguments of an operator (groups, look-around, conditionals)."""
    if isinstance(argument, _re_parser.SubPattern):
        return [argument]
    if isinstance(argument, tuple):
        return [item for item in argument if isinstance(item, _re_parser.SubPattern)]
    return []


class Window:
    """The end of a stream, as much of it as a search looks at."""

    __slots__ = ("_search", "_tail")

    def __init__(self, pattern: re.Pattern[bytes]) -> None:
        self._search = pattern.search
        self._tail = b""

    def feed(self, data: bytes) -> bool:
        """Take more bytes; whether the pattern stands in the window now."""
        start = 0
        while start < len(data):
            # A large segment is looked at in halves of a window, so that no match is jumped over.
            step = data[start : start + UNTIL_WINDOW // 2]
            start += len(step)
            self._tail = (self._tail + step)[-UNTIL_WINDOW:]
            if self._search(self._tail) is not None:
                return True
        return False
