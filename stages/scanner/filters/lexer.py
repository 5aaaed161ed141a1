"""The words of a filter, and how an error shows its place: the text with a caret under the mistake. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

Kind: TypeAlias = Literal["number", "range", "address", "string", "word", "operator", "end"]

#: Bytes of a filter, at most: one that people write has a hundred; this bounds the work on one that a program made.
MAX_LENGTH: Final = 65_536

#: Longer forms first. An address is recognised by its dots or colons; a word is ZMap's, one letter long too.
_TOKENS: Final = re.compile(
    r"""
    (?P<blank>\s+)
  | (?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
  | (?P<address>[0-9]+(?:\.[0-9]+){3}(?:/[0-9]+)?|[0-9A-Fa-f]*:[0-9A-Fa-f:.]*(?:/[0-9]+)?)
  | (?P<range>[0-9]+-[0-9]+)
  | (?P<number>-?(?:0[xX][0-9A-Fa-f]+|[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?))
  | (?P<word>[A-Za-z_][-_A-Za-z0-9]*)
  | (?P<operator>&&|\|\||==|!=|<=|>=|[=<>!(),])
    """,
    re.VERBOSE | re.ASCII,
)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)


class FilterError(ValueError):
    """A filter that cannot be. `text` is the filter, [start, end) where the mistake is, `problem` what it is."""

    def __init__(self, text: str, start: int, end: int, problem: str) -> None:
        super().__init__(f"{problem}\n{caret(text, start, end)}")
        self.start, self.end, self.problem = start, end, problem


@dataclass(frozen=True, slots=True)
class Token:
    """One word, and where it stands."""

    kind: Kind
    text: str  #: of a string: what it means, without quotes
    start: int
    end: int


def caret(text: str, start: int, end: int) -> str:
    """The line of `text` in which `start` is, and carets under [start, end)."""
    first = text.rfind("\n", 0, start) + 1
    line = text[first:].partition("\n")[0]
    # A tab and what does not print take one place, as the caret below them does.
    shown = "".join(char if char.isprintable() else " " for char in line)
    width = max(1, min(end, first + len(line)) - start)
    return f"  {shown}\n  {' ' * (start - first)}{'^' * width}"


def tokens(text: str) -> list[Token]:
    """The words of `text`, and behind them one of the kind `end`. Raises FilterError."""
    if len(text) > MAX_LENGTH:
        raise FilterError(text[:60], 0, 60, f"a filter of {len(text)} characters: {MAX_LENGTH} at most")
    found: list[Token] = []
    at = 0
    while at < len(text):
        match = _TOKENS.match(text, at)
        if match is None:
            raise FilterError(text, at, at + 1, _stranger(text, at))
        kind, word = match.lastgroup, match.group()
        if kind == "string":
            found.append(Token("string", _ESCAPED.sub(r"\1", word[1:-1]), at, match.end()))
        elif kind != "blank":
            found.append(Token(kind, word, at, match.end()))  # type: ignore[arg-type]
        at = match.end()
    found.append(Token("end", "", len(text), len(text)))
    return found


def _stranger(text: str, at: int) -> str:
    char = text[at]
    if char in "\"'":
        return "a quote that nothing closes"
    if char in "&|":
        return f"{char!r} alone: it is written {char * 2!r}"
    return f"{char!r} has no meaning here"
