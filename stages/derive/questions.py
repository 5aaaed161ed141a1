"""Questions over sightings: one key on many addresses, and what moved. Pure; a stream in, rows out.

Sightings come sorted by thing, hash and address. What is held in memory is one thing's addresses, and no more than
MAX_ADDRESSES of them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

#: Addresses of one thing that are looked at for a move. What is on more of them is shared, not moving.
MAX_ADDRESSES: Final = 1_000

#: Addresses that a row of `shared` names.
SHOWN_ADDRESSES: Final = 20

Row = dict[str, Any]


class _Places:
    """The addresses of one thing: first and last seen at each."""

    def __init__(self, thing: str, digest: str) -> None:
        self.thing = thing
        self.hash = digest
        self.count = 0
        self.services = 0
        self.first_seen = 0
        self.last_seen = 0
        self.at: list[tuple[str, int, int]] = []  #: (ip, first, last), at most MAX_ADDRESSES
        self._address: bytes | None = None

    def add(self, sighting: Mapping[str, Any]) -> None:
        first, last = sighting["first_seen"], sighting["last_seen"]
        self.first_seen = first if not self.services else min(self.first_seen, first)
        self.last_seen = max(self.last_seen, last)
        self.services += 1
        if sighting["address"] == self._address:
            if self.count <= MAX_ADDRESSES:
                ip, begun, ended = self.at[-1]
                self.at[-1] = (ip, min(begun, first), max(ended, last))
            return
        self._address = sighting["address"]
        self.count += 1
        if self.count <= MAX_ADDRESSES:
            self.at.append((sighting["ip"], first, last))


async def _places(sightings: AsyncIterator[Mapping[str, Any]]) -> AsyncIterator[_Places]:
    places: _Places | None = None
    async for sighting in sightings:
        if places is None or (places.thing, places.hash) != (sighting["thing"], sighting["hash"]):
            if places is not None:
                yield places
            places = _Places(sighting["thing"], sighting["hash"])
        places.add(sighting)
    if places is not None:
        yield places


async def shared(sightings: AsyncIterator[Mapping[str, Any]], since: int | None = None) -> AsyncIterator[Row]:
    """Things at more than one address: `thing hash addresses services first_seen last_seen ips`."""
    async for places in _places(sightings):
        if places.count > 1 and (since is None or places.last_seen >= since):
            yield {
                "thing": places.thing,
                "hash": places.hash,
                "addresses": places.count,
                "services": places.services,
                "first_seen": places.first_seen,
                "last_seen": places.last_seen,
                "ips": [ip for ip, _, _ in places.at[:SHOWN_ADDRESSES]],
            }


async def moved(sightings: AsyncIterator[Mapping[str, Any]], since: int | None = None) -> AsyncIterator[Row]:
    """Things that were first seen at an address after they were last seen at the one before.

    `thing hash from_ip from_seen to_ip to_seen`: last seen there, first seen here. What is at two addresses at a time
    is shared and has not moved; `since` is about `to_seen`.
    """
    async for places in _places(sightings):
        if not 1 < places.count <= MAX_ADDRESSES:
            continue
        visits = sorted(places.at, key=lambda visit: (visit[1], visit[2]))
        before = visits[0]
        for visit in visits[1:]:
            if visit[1] > before[2]:
                if since is None or visit[1] >= since:
                    yield {
                        "thing": places.thing,
                        "hash": places.hash,
                        "from_ip": before[0],
                        "from_seen": before[2],
                        "to_ip": visit[0],
                        "to_seen": visit[1],
                    }
                before = visit
            elif visit[2] > before[2]:  # both at a time: from the one that lasted
                before = visit
