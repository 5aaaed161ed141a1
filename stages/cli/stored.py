"""What a sweep has found, as the store has it: who answered, and in which state each is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from stages.core.errors import Unavailable
from stages.core.settings import Loaded, StoreSettings
from stages.sink.app import open_store
from stages.sink.query import reading
from stages.sink.settings import SinkSettings
from stages.sink.store import Collection, Filter, network_range

Pair = tuple[str, int]

#: Services handed over at a time.
BATCH: Final = 1_000

#: Seconds between two looks whether everything is stored, and until it is given up and tried again later.
LOOK: Final = 2.0
PATIENCE: Final = 600.0

#: Bytes of a banner's first line that count as its state.
LINE: Final = 80


class Stored:
    """Reads the store that `loaded` names."""

    def __init__(self, loaded: Loaded) -> None:
        self._settings = loaded.get("store", StoreSettings), loaded.get("sink", SinkSettings)

    async def has_hit(self, scan: str, pair: Pair) -> bool:
        """Whether this scan found it."""
        async with reading(open_store(*self._settings, read_only=True)) as store:
            where = Filter(network=network_range(pair[0]), port=pair[1], scan=scan, limit=1)
            async for hit in store.find(Collection.HITS, where):
                if hit.get("success"):
                    return True
            return False

    async def until_stored(self, scans: Sequence[str]) -> None:
        """Until the ends of these scans are stored, and no hit of them has come between two looks: scans and hits are
        two topics. Raises Unavailable after some time: nobody stores them."""
        end = time.monotonic() + PATIENCE
        before: list[int] = []
        while True:
            now = [await self._hits(scan) for scan in scans] if await self._ended(scans) else []
            if now and now == before:
                return
            if time.monotonic() > end:
                raise Unavailable(f"the sink has not stored scan {scans[0]} within {PATIENCE:.0f} s")
            before = now
            await asyncio.sleep(LOOK)

    async def states(self, scan: str) -> AsyncIterator[list[tuple[Pair, str]]]:
        """Who answered a scan, some at a time."""
        async with reading(open_store(*self._settings, read_only=True)) as store:
            some: list[tuple[Pair, str]] = []
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

    async def _ended(self, scans: Sequence[str]) -> bool:
        async with reading(open_store(*self._settings, read_only=True)) as store:
            for scan in scans:
                if not [s async for s in store.find(Collection.SCANS, Filter(scan=scan)) if "end" in s]:
                    return False
        return True

    async def _hits(self, scan: str) -> int:
        async with reading(open_store(*self._settings, read_only=True)) as store:
            return sum([1 async for _ in store.find(Collection.HITS, Filter(scan=scan))])


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
