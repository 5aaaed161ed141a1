"""Who wants to be left alone: a list with its reasons. Pure.

The file is a blocklist like any other (`--blocklist-file`), one network a line; what follows the `#` is the record of
it: `192.0.2.0/24  # 2026-11-28 mail: the owner asked`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from stages.core.errors import ListError, UsageError
from stages.core.netset import parse_entry

_RECORD: Final = re.compile(r"(\d{4}-\d{2}-\d{2}) ([A-Za-z0-9_.-]{1,40}):(?: (.*))?", re.ASCII).fullmatch
_SOURCE: Final = re.compile(r"[A-Za-z0-9_.-]{1,40}", re.ASCII).fullmatch

#: Characters of a reason.
MAX_REASON: Final = 500


@dataclass(frozen=True, slots=True)
class Optout:
    """One entry. `date` is `2026-11-28`; of a line without a record the rest is empty."""

    network: str
    date: str = ""
    source: str = ""
    reason: str = ""

    def line(self) -> str:
        if not self.date:
            return self.network + (f"  # {self.reason}" if self.reason else "")
        return f"{self.network}  # {self.date} {self.source}: {self.reason}"


def made(network: str, date: str, source: str, reason: str) -> Optout:
    """A new entry. Raises UsageError for what is no network, and for words that the file could not keep."""
    try:
        entry = parse_entry(network)
    except ValueError as error:
        raise UsageError("PREFIX", network, str(error)) from None
    if isinstance(entry, str):
        raise UsageError("PREFIX", network, "a name: what it stands for may change; give its addresses")
    if not _SOURCE(source):
        raise UsageError("--source", source, "one word, such as mail or form")
    if len(reason) > MAX_REASON or not reason.isprintable():
        raise UsageError("--reason", reason[:40], f"one line of at most {MAX_REASON} characters")
    return Optout(network, date, source, reason.strip())


def read(text: str, file: str) -> Iterator[Optout]:
    """The entries of a file. Raises ListError with the line."""
    for number, line in enumerate(text.splitlines(), 1):
        network, _, rest = line.partition("#")
        network = network.strip()
        if not network:
            continue
        try:
            parse_entry(network)
        except ValueError as error:
            raise ListError(file, number, network, str(error)) from None
        found = _RECORD(rest.strip())
        yield Optout(network, found[1], found[2], found[3] or "") if found else Optout(network, reason=rest.strip())


def text(entries: Iterable[Optout]) -> str:
    """The file."""
    head = "# Who wants to be left alone. Kept by longline optout; a blocklist (-b) for everything that sends.\n"
    return head + "".join(f"{entry.line()}\n" for entry in entries)
