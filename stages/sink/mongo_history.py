"""The history in MongoDB (`stages.sink.history`): states replaced by `_id`, events inserted once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final

from stages.core.errors import HostError
from stages.core.events import Event, EventType
from stages.sink.documents import Document, address_of, service_id
from stages.sink.history import Target, event_document
from stages.sink.mongo import READ_DOCUMENTS, insert_new, mapped, of_network, replace
from stages.sink.mongo_corpus import MongoCorpus
from stages.sink.store import Collection, Filter, Written

#: Kept for an index only.
_HIDDEN: Final = {"date": 0}


class MongoHistory(MongoCorpus):
    """See `stages.sink.history.History`."""

    def services(self) -> AsyncIterator[Document]:
        return self.find(Collection.SERVICES, Filter())

    async def states_of(self, services: Sequence[Mapping[str, Any]]) -> dict[str, Document]:
        with mapped(self.place):
            found = self._db["states"].find({"_id": {"$in": [service["_id"] for service in services]}})
            return {state["_id"]: state async for state in found}

    async def keep(self, states: Sequence[Document]) -> None:
        if states:
            with mapped(self.place):
                written = Written()
                await self._upsert("states", [replace(state) for state in states], written)
            self._all_written("states", written.rejected)

    async def tell(self, events: Sequence[Event]) -> None:
        if events:
            with mapped(self.place):
                sorted_, _ = await self._bulk("events", [insert_new(event_document(event)) for event in events])
            self._all_written("events", {events[i].id: why for i, why in sorted_.refused.items()})

    def _all_written(self, collection: str, refused: Mapping[str, str]) -> None:
        for document, why in refused.items():
            raise HostError(f"{self.place}: {collection}: {document} is refused: {why}")

    async def lost(self, hashes: Sequence[str]) -> set[str]:
        asked = set(hashes)
        with mapped(self.place):
            found = await self._db["states"].distinct("hashes", {"hashes": {"$in": sorted(asked)}, "missing": True})
            return asked & set(found)

    async def showing(self, digest: str, most: int) -> list[Document]:
        with mapped(self.place):
            return [state async for state in self._db["states"].find({"hashes": digest}).limit(most)]

    async def forget_gone(self, targets: Sequence[Target]) -> int:
        ids = {service_id(*target): target for target in targets}
        with mapped(self.place):
            found = self._db["services"].find({"_id": {"$in": sorted(ids)}}, {"_id": 1})
            gone = ids.keys() - {service["_id"] async for service in found}
            for key in gone:
                ip, port, transport, name = ids[key]
                address = address_of(ip)[1]
                event = {"address": address, "port": port, "transport": transport, "name": name or {"$exists": False}}
                await self._db["states"].delete_one({"_id": key})
                await self._db["events"].delete_many({"$or": [event, {"origin": address}]})
        return len(gone)

    def down(self, where: Filter) -> AsyncIterator[Document]:
        conditions = {"down_since": {"$gt": 0}, **_of_target(where)}
        return self._each("states", conditions, ("down_since", "address", "port", "transport", "name"), where.limit)

    def events(self, where: Filter, kind: EventType | None = None, *, ended: bool = False) -> AsyncIterator[Document]:
        conditions = _of_target(where)
        if where.scan is not None:
            conditions["scan"] = where.scan
        if where.since is not None:
            conditions["ts"] = {"$gte": where.since}
        if kind is not None:
            conditions["type"] = str(kind)
        if ended:
            conditions["details.until"] = {"$exists": True}
        return self._each("events", conditions, ("ts", "_id"), where.limit)

    async def _each(
        self, collection: str, where: Document, order: Sequence[str], limit: int | None
    ) -> AsyncIterator[Document]:
        with mapped(self.place):
            cursor = self._db[collection].find(where, _HIDDEN).sort([(key, 1) for key in order])
            cursor = cursor.allow_disk_use(True).batch_size(READ_DOCUMENTS)
            if limit is not None:
                cursor = cursor.limit(limit)
            try:
                async for document in cursor:
                    yield document
            finally:
                await cursor.close()


def _of_target(where: Filter) -> Document:
    conditions: Document = {}
    if where.network is not None:
        conditions.update(of_network(where.network))
    if where.port is not None:
        conditions["port"] = where.port
    if where.name is not None:
        conditions["name"] = where.name
    return conditions
