"""Output modules `xml`, `masscan-json`, `ndjson`, `masscan-list`, `grepable`, `unicornscan`, `hostonly`, `interactive`,
`binary`: the files that masscan writes (`stages.scanner.masscan`).

A target is written when its state is known first; what repeats is left out, and what `--show` does not ask for.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from typing import Final

from stages import __version__
from stages.core.records import Banner as Record
from stages.core.records import parse
from stages.scanner.masscan.banners import banner_of
from stages.scanner.masscan.items import Item
from stages.scanner.masscan.statuses import status_of
from stages.scanner.masscan.writing import About, Data, writer
from stages.scanner.outputs.base import Format
from stages.scanner.parts import Part
from stages.scanner.ports import ports_text
from stages.scanner.probes import entry
from stages.scanner.rows import Answer

#: States that are written, by --show.
SHOWN: Final = {"open": ("open",), "closed": ("closed",), "all": ("open", "closed", "arp")}


class _Module:
    """One of masscan's formats as an output module."""

    def __init__(self, name: str, wanted: Format) -> None:
        self._writer = writer(name, about(wanted.started_us, wanted.parts))
        self._shown = SHOWN[wanted.show]
        self.closed = self._writer.closed

    def begin(self) -> bytes:
        return self._writer.begin()

    def render(self, answers: Sequence[Answer]) -> bytes:
        items: list[Item] = []
        for answer in answers:
            item = None if answer.repeat else status_of(answer)
            if item is not None and item.state in self._shown:
                items.append(item)
        return self._writer.items(items)

    def said(self, lines: Sequence[bytes]) -> bytes:
        """What ports said: silence has no place in these formats."""
        records = [record for record in map(parse, lines) if isinstance(record, Record)]
        return self._writer.items([banner for banner in map(banner_of, records) if banner is not None])

    def end(self) -> bytes:
        return self._writer.end(int(time.time()))

    def keep(self, data: Data) -> int:
        return self._writer.keep(data)


def about(started_us: int, parts: Sequence[Part]) -> About:
    """What a file says of a scan of these parts."""
    ports: dict[str, list[int]] = {}
    for part in parts:
        ports.setdefault(part.transport, []).extend(part.ports if entry(part.probe).ports else ())
    return About(
        started=started_us // 1_000_000,
        version=__version__,
        ports={transport: ports_text(tuple(sorted(found))) if found else "" for transport, found in ports.items()},
        counts={transport: len(found) for transport, found in ports.items()},
    )


Xml = partial(_Module, "xml")
Json = partial(_Module, "json")
Ndjson = partial(_Module, "ndjson")
List = partial(_Module, "list")
Grepable = partial(_Module, "grepable")
Unicornscan = partial(_Module, "unicornscan")
Hostonly = partial(_Module, "hostonly")
Screen = partial(_Module, "interactive")
Binary = partial(_Module, "binary")
