"""On which line of a TOML file a key stands. Pure.

`tomllib` tells no lines of what it read. But it tells whether the first n lines hold a key, and the least such n is
where its statement begins; where the first n lines end inside a statement that goes over several, the end of that
statement is what counts. Slow, exact, and only for the one error that is told.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from typing import Any, Final

#: Lines at which a statement may end that are tried; of a longer one a line inside it may be told.
MAX_TRIES: Final = 256

#: A statement over several lines ends on a line with one of these.
_ENDS: Final = ("]", "}", '"""', "'''")

Path = Sequence[str | int]


def line_of(text: str, path: Path) -> int:
    """The line, from 1, where `path` (keys and places in lists) begins in a text that can be read."""
    lines = text.split("\n")
    below, here = 0, len(lines)
    while here - below > 1:
        middle = (below + here) // 2
        if _holds(lines, middle, path):
            here = middle
        else:
            below = middle
    if path and isinstance(path[-1], int):
        return _item(lines, here, path[:-1], path[-1])
    return here


def _read(lines: list[str], tail: str = "") -> Any:
    try:
        return tomllib.loads("\n".join(lines) + tail)
    except (tomllib.TOMLDecodeError, RecursionError):
        return None


def _at(data: Any, path: Path) -> Any:
    """What stands there, or None."""
    for step in path:
        if isinstance(step, int):
            if not isinstance(data, list) or step >= len(data):
                return None
        elif not isinstance(data, dict) or step not in data:
            return None
        data = data[step]
    return data


def _holds(lines: list[str], count: int, path: Path) -> bool:
    tries = 0
    for end in range(count, len(lines) + 1):
        if end > count and not any(mark in lines[end - 1] for mark in _ENDS):
            continue
        data = _read(lines[:end])
        if data is not None:
            return _at(data, path) is not None
        tries += 1
        if tries > MAX_TRIES:
            break
    return False


def _item(lines: list[str], start: int, path: Path, place: int) -> int:
    """The line of an item of a list whose statement begins at line `start`."""
    if _read(lines[:start]) is not None:
        return start
    for end in range(start, min(len(lines), start + MAX_TRIES) + 1):
        for tail in ("\n]", ""):
            items = _at(_read(lines[:end], tail), path)
            if isinstance(items, list) and len(items) > place:
                return end
    return start
