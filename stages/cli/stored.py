"""What a sweep has found, as the store has it: who answered, and in which state each is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any, Final

from stages.core.errors import Unavailable
from stages.core.settings import Loaded, StoreSettings
from stages.sink.app import open_store, open_survey
from stages.sink.query import reading
from stages.sink.settings import SinkSettings
from stages.sink.store import Collection, Filter, network_range

Pair = tuple[str, int]

#: Services handed over at a time.
BATCH: Final = 1_000

#: Seconds between two looks whether everything is stored, and until it is given up and tried again later.
LOOK: Final = 2.0
PATIENCE: Final = 600.0

#: Looks at the store take at most this share of the time: a sweep of millions is counted slowly, and more seldom.
LOOKING: Final = 0.1

#: Looks one after the other that find nothing new until a sweep counts as stored. More of them where fewer hits are
#: there than its end says were written: it may count one twice, or the sink may be behind.
STILL: Final = 1
STILL_FEWER: Final = 5

#: Bytes of a banner's first line that count as its state.
LINE: Final = 80


class Stored:
    """Reads the store that `loaded` names."""

    def __init__(self, loaded: Loaded) -> None:
        self._settings = loaded.get("store", StoreSettings), loaded.get("sink", SinkSettings)

    async def found(self, scan: str, pairs: Iterable[Pair]) -> int:
        """How many of these the scan has found."""
        count = 0
        async with reading(open_store(*self._settings, read_only=True)) as store:
            for ip, port in pairs:
                where = Filter(network=network_range(ip), port=port, scan=scan)
                count += any([hit.get("success") async for hit in store.find(Collection.HITS, where)])
        return count

    async def until_stored(self, scans: Sequence[str]) -> None:
        """Until the ends of these scans are stored, and no hit of them comes any more: scans and hits are two topics.
        Raises Unavailable after some time: nobody stores them."""
        end = time.monotonic() + PATIENCE
        before, still = -1, 0
        while True:
            began = time.monotonic()
            written = await self._written(scans)
            if written is not None:
                hits = await self._hits(scans)
                before, still = hits, still + 1 if hits == before else 0
                if still >= (STILL if hits >= written else STILL_FEWER):
                    return
            now = time.monotonic()
            if now > end:
                raise Unavailable(f"the sink has not stored scan {scans[0]} within {PATIENCE:.0f} s")
            await asyncio.sleep(max(LOOK, (now - began) / LOOKING))

    async def states(self, scans: Sequence[str]) -> AsyncIterator[list[tuple[Pair, str]]]:
        """Who answered these scans, some at a time."""
        async with reading(open_store(*self._settings, read_only=True)) as store:
            some: list[tuple[Pair, str]] = []
            for scan in scans:
                async for hit in store.find(Collection.HITS, Filter(scan=scan)):
                    if not hit.get("success"):
                        continue
                    where = Filter(network=network_range(hit["ip"]), port=hit["port"])
                    states = [state_of(s) async for s in store.find(Collection.SERVICES, where)]
                    some.append(((hit["ip"], hit["port"]), " | ".join(sorted(states)) or "up"))
                    if len(some) >= BATCH:
                        yield some
                        some = []
            if some:
                yield some

    async def _written(self, scans: Sequence[str]) -> int | None:
        """Hits that the last runs of these scans have written, as their ends say; None: not all have ended."""
        written = 0
        async with reading(open_store(*self._settings, read_only=True)) as store:
            for name in scans:
                ends = [scan["end"] async for scan in store.find(Collection.SCANS, Filter(scan=name)) if "end" in scan]
                if not ends:
                    return None
                count = (ends[0].get("counters") or {}).get("written")
                written += count if isinstance(count, int) else 0
        return written

    async def _hits(self, scans: Sequence[str]) -> int:
        survey = open_survey(*self._settings)
        async with reading(survey):
            return sum([await survey.count_hits(name) for name in scans])


def state_of(service: dict[str, Any]) -> str:
    """What of a service stays the same while nothing changes: not its times, nor a banner beyond its first line, where
    servers write the date."""
    banner, tls = service.get("banner", {}), service.get("tls", {})
    line = bytes(banner.get("data") or b"").split(b"\n", 1)[0][:LINE]
    parts = (
        "up", service.get("name", ""), banner.get("outcome", ""), banner.get("service", "") or "",
        line.decode("latin-1"), tls.get("outcome", ""), tls.get("version", "") or "", tls.get("leaf", "") or "",
    )  # fmt: skip
    return "\t".join(map(str, parts))
