"""ZMap's configuration files: the long name of an option and its value, one a line. Pure.

    interface "eth1"
    source-ip 1.1.1.4-1.1.1.8
    cooldown-time 300 # seconds
    quiet

A value may stand in quotes, and `=` between name and value; `#` begins a comment, at the start of a line or behind a
blank. Names may have `_` for `-`. What the names mean is the command's business.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from stages.core.errors import SettingError

#: Bytes of such a file, at most. It has a line for each option.
MAX_BYTES: Final = 1 << 20

_LINE: Final = re.compile(r"\s*(?P<name>[A-Za-z][-_A-Za-z0-9]*)(?:\s*=\s*|\s+|$)(?P<rest>.*)", re.ASCII | re.DOTALL)
_COMMENT: Final = re.compile(r"(?:^|\s)#.*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Line:
    """One option. `value` None: it stands alone."""

    number: int  #: from 1
    column: int  #: of the value, or of the name where there is none; from 1
    name: str  #: without dashes before it
    value: str | None


def parse_conf(text: str, file: str) -> Iterator[Line]:
    """The options of a file, in order. Raises SettingError with file, line, column and problem."""
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.fullmatch(line.rstrip("\r"))
        if match is None:
            column = len(line) - len(line.lstrip()) + 1
            raise SettingError(f"{file}:{number}:{column}", line.strip(), "not the name of an option and its value")
        name, rest, at = match["name"].replace("_", "-"), match["rest"], match.start("rest") + 1
        if rest[:1] in ("'", '"'):
            value, problem = _quoted(rest)
            if problem is not None:
                raise SettingError(f"{file}:{number}:{at}", rest.strip(), problem)
            yield Line(number, at, name, value)
            continue
        plain = _COMMENT.sub("", rest).strip()
        yield Line(number, at, name, plain) if plain else Line(number, match.start("name") + 1, name, None)


def _quoted(rest: str) -> tuple[str, str | None]:
    """(what stands in the quotes, None), or a problem."""
    quote = rest[0]
    inside, closed, behind = rest[1:].partition(quote)
    if not closed:
        return "", "a quote that nothing closes"
    if _COMMENT.sub("", behind).strip():
        return "", f"{behind.strip()!r} stands behind the quotes"
    return inside, None
