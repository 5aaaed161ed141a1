"""The tree of a filter. Pure.

Values are as they were written; what they mean is decided when the field that they are compared with is known.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from stages.scanner.filters.lexer import Token


@dataclass(frozen=True, slots=True)
class Compare:
    """`field operator value`; `operator` is one of = != < > <= >= in; only `in` may have several values."""

    field: Token
    operator: Token
    values: tuple[Token, ...]


@dataclass(frozen=True, slots=True)
class Not:
    inside: Tree


@dataclass(frozen=True, slots=True)
class And:
    parts: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class Or:
    parts: tuple[Tree, ...]


Tree: TypeAlias = Compare | Not | And | Or
