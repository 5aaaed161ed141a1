"""What all writers of masscan's formats are, and the writer of a format by its name. Pure.

A writer turns items into bytes. What it writes at the end (`end`) makes the file whole. Of XML and JSON, which no
reader takes half, it stands at the end at all times (`closed`): who writes the file lets the next items overwrite it.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from stages.scanner.masscan.items import Banner, Item

#: Format -> file and class. The names are masscan's (`--output-format`).
FORMATS: Final = {
    "xml": ("xml", "XmlWriter"),
    "json": ("objects", "JsonWriter"),
    "ndjson": ("objects", "NdjsonWriter"),
    "list": ("lines", "ListWriter"),
    "grepable": ("lines", "GrepableWriter"),
    "unicornscan": ("lines", "UnicornscanWriter"),
    "hostonly": ("lines", "HostonlyWriter"),
    "interactive": ("lines", "ScreenWriter"),
    "binary": ("binary", "BinaryWriter"),
}


@dataclass(frozen=True, slots=True)
class About:
    """What a file says of its scan."""

    started: int = 0  #: seconds since the epoch
    version: str = ""  #: of Longline
    ports: dict[str, str] = field(default_factory=dict)  #: transport -> `80,443`
    counts: dict[str, int] = field(default_factory=dict)  #: transport -> how many ports


class Data(Protocol):
    """The bytes of a file: bytes, or an mmap."""

    def __len__(self) -> int: ...
    def __getitem__(self, key: slice, /) -> bytes: ...
    def rfind(self, sub: bytes, /) -> int: ...


class Writer(Protocol):
    """One format. Made once a file."""

    closed: bool  #: `end` stands at the end at all times

    def begin(self) -> bytes:
        """What stands at the top of a new file."""

    def items(self, items: Sequence[Item]) -> bytes:
        """Whole records."""

    def end(self, now: int) -> bytes:
        """What stands at the end; `now` in seconds since the epoch."""

    def keep(self, data: Data) -> int:
        """How many bytes of a file that this format's writer wrote may stay when it is gone on with: those before its
        end, or before a record that was cut. Called instead of `begin`."""


def writer(name: str, about: About) -> Writer:
    """Raises KeyError for a format that there is not."""
    file, made = FORMATS[name]
    kind: Any = getattr(importlib.import_module(f"stages.scanner.masscan.{file}"), made)
    found: Writer = kind(about)
    return found


def has_place_for_banners(name: str) -> bool:
    """unicornscan's lines and hosts alone have none."""
    return name not in ("unicornscan", "hostonly")


def whole_lines(data: Data, ends: Sequence[bytes]) -> int:
    """Bytes up to the last whole line that does not begin with one of `ends`."""
    at = data.rfind(b"\n") + 1
    before = data[max(at - 4096, 0) : at]
    start = at - len(before) + (before[:-1].rfind(b"\n") + 1)
    last = data[start:at]
    return start if any(last.startswith(end) for end in ends) else at


def is_banner(item: Item) -> bool:
    return isinstance(item, Banner)
