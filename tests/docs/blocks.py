"""What stands in the documents: fenced blocks, by the heading above them, and the commands of shell blocks.

A document is Markdown (CommonMark 0.31, 4.5: a fence of three backticks, an info string of one word).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]

#: All that a reader may copy from.
DOCUMENTS: Final = tuple(
    sorted(
        str(path.relative_to(ROOT))
        for path in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"))
    )
)  # fmt: skip

#: Info strings of blocks whose lines are commands.
SHELL: Final = frozenset({"sh", "bash", "shell", "console"})


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block."""

    file: str
    line: int  #: of its first line, from 1
    heading: str  #: the nearest one above it
    language: str  #: "" for none
    text: str

    @property
    def place(self) -> str:
        return f"{self.file}: {self.heading}"

    @property
    def commands(self) -> list[str]:
        """Of a shell block: one string a command, without comments, continued lines joined."""
        joined = re.sub(r"\\\n\s*", "", self.text)
        bare = (re.sub(r"(^|\s+)#.*", "", line).strip() for line in joined.splitlines())
        return [line for line in bare if line]


def blocks_of(text: str, file: str) -> Iterator[Block]:
    """The blocks of a document, in order. Raises ValueError for one that is not closed."""
    heading, language, start = "", None, 0
    held: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        if language is not None:
            if line.strip() == "```":
                yield Block(file, start, heading, language, "".join(f"{one}\n" for one in held))
                language = None
            else:
                held.append(line)
        elif line.startswith("```"):
            language, start, held = line.removeprefix("```").strip(), number + 1, []
        elif re.match(r"#{1,6} ", line):
            heading = line.lstrip("#").strip()
    if language is not None:
        raise ValueError(f"{file}:{start - 1}: a block that is not closed")


def blocks(*languages: str) -> list[Block]:
    """Blocks of all documents in one of `languages`."""
    return [b for file in DOCUMENTS for b in blocks_of((ROOT / file).read_text(), file) if b.language in languages]


def one(file: str, heading: str, language: str) -> Block:
    """The only such block. Raises ValueError if there is none or more."""
    [found] = [b for b in blocks(language) if (b.file, b.heading) == (file, heading)]
    return found
