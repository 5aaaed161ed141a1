"""Questions over whole scans in MongoDB (`stages.sink.survey`): aggregations that the server may do on its disk, and
reads by the index of scan, address and port."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any, Final

from stages.core.outcome import Outcome
from stages.sink.documents import ANSWERED_UDP, BEFORE, ESTABLISHED, Document, Observation
from stages.sink.mongo import READ_DOCUMENTS, MongoStore, mapped, of_network
from stages.sink.survey import DAY, By, Tally, Trace

_GRAB: Final[Document] = {"kind": {"$ne": "hit"}}

#: `documents.answered`, as a query.
_ANSWERED: Final[list[Document]] = [
    {"kind": "hit", "success": True},
    {**_GRAB, "transport": "tcp", "outcome": {"$in": sorted(map(str, ESTABLISHED))}},
    {
        **_GRAB,
        "transport": "tcp",
        "outcome": str(Outcome.TIMEOUT),
        "phase": {"$nin": sorted(map(str, BEFORE))},
    },
    {**_GRAB, "transport": {"$ne": "tcp"}, "outcome": {"$in": sorted(map(str, ANSWERED_UDP))}},
]

_SERVICE: Final = ("address", "port", "transport")

#: What is counted -> its value, and what must hold. Of issuers it is the certificate's hash first.
_VALUES: Final[dict[By, tuple[Any, Document]]] = {
    By.PORT: ("$port", {}),
    By.ADDRESS: ("$address", {}),
    By.VERSION: ("$version", {"kind": "tls", "version": {"$exists": True}}),
    By.ISSUER: ({"$arrayElemAt": ["$chain", 0]}, {"kind": "tls", "chain.0": {"$exists": True}}),
}


def pipeline(by: By, scans: Sequence[str], days: bool, since: int | None) -> list[Document]:
    """The stages of the aggregation."""
    value, condition = _VALUES[by]
    group: Any = {"$subtract": ["$ts", {"$mod": ["$ts", DAY]}]} if days else "$scan"
    match: Document = {"scan": {"$in": list(scans)}, "$or": _ANSWERED, **condition}
    if since is not None:
        match["ts"] = {"$gte": since}
    place: Document = {key: f"${key}" for key in _SERVICE}
    again: Document = {key: f"$_id.{key}" for key in ("group", *_SERVICE)}
    stages: list[Document] = [{"$match": match}, {"$group": {"_id": {"value": value, "group": group, **place}}}]
    if by is By.ISSUER:
        stages += [
            {"$lookup": {"from": "certificates", "localField": "_id.value", "foreignField": "_id", "as": "found"}},
            {"$group": {"_id": {"value": {"$arrayElemAt": ["$found.issuer", 0]}, **again}}},
        ]
    return [
        *stages,
        {"$group": {"_id": {"value": "$_id.value", "group": "$_id.group"}, "count": {"$sum": 1}}},
        {"$sort": {"_id.value": 1, "_id.group": 1}},
    ]


class MongoSurvey(MongoStore):
    """See `stages.sink.survey.Survey`."""

    async def in_order(
        self, scan: str, *, network: tuple[bytes, bytes] | None = None, port: int | None = None
    ) -> AsyncIterator[Observation]:
        wanted: Document = {"scan": scan}
        if network is not None:
            wanted |= of_network(network)
        if port is not None:
            wanted["port"] = port
        with mapped(self.place):
            cursor = self._db["observations"].find(wanted, {"date": 0, "data": 0})
            cursor = cursor.sort([("scan", 1), ("address", 1), ("port", 1)])
            cursor = cursor.allow_disk_use(True).batch_size(READ_DOCUMENTS)
            try:
                async for document in cursor:
                    yield Observation.of_document(document)
            finally:
                await cursor.close()

    async def _aggregate(self, stages: list[Document]) -> AsyncGenerator[Document, None]:
        with mapped(self.place):
            cursor = self._db["observations"].aggregate(stages, allowDiskUse=True, batchSize=READ_DOCUMENTS)
            if inspect.isawaitable(cursor):  # PyMongo's own client; motor gives the cursor at once
                cursor = await cursor
            try:
                async for document in cursor:
                    yield document
            finally:
                await cursor.close()

    async def tallies(
        self, by: By, scans: Sequence[str], *, days: bool = False, since: int | None = None
    ) -> AsyncIterator[Tally]:
        async with aclosing(self._aggregate(pipeline(by, scans, days, since))) as rows:
            async for row in rows:
                key = row["_id"]
                group = int(key["group"]) if days else key["group"]
                yield Tally(key.get("value"), group, row["count"])

    async def scans_seen(self) -> list[str]:
        with mapped(self.place):
            return sorted(await self._db["observations"].distinct("scan"))

    async def count_hits(self, scan: str) -> int:
        with mapped(self.place):
            return int(await self._db["observations"].count_documents({"scan": scan, "kind": "hit"}))

    async def traces(self, network: tuple[bytes, bytes]) -> list[Trace]:
        keys: Document = {"scan": "$scan", "kind": "$kind", "vantage": "$vantage", "source": "$source.ip"}
        times: Document = {"first": {"$min": "$ts"}, "last": {"$max": "$ts"}}
        stages = [{"$match": of_network(network)}, {"$group": {"_id": keys, "count": {"$sum": 1}, **times}}]
        found = []
        async for row in self._aggregate(stages):
            key = row["_id"]
            vantage, source = key.get("vantage") or "", key.get("source") or ""
            found.append(Trace(key["scan"], key["kind"], vantage, source, row["count"], row["first"], row["last"]))
        return sorted(found, key=lambda trace: (trace.scan, trace.kind, trace.vantage, trace.source))
