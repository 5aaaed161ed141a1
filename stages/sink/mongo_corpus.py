"""The corpus in MongoDB (`stages.sink.corpus`): updates by `_id` that may be repeated, reads by indexes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from stages.proto.x509.certificate import KEYS
from stages.proto.x509.hostnames import reverse
from stages.sink.corpus import KINDS as OBSERVATIONS
from stages.sink.corpus import MAX_ASKED, MAX_ASKED_SIGHTINGS, Found, Seen
from stages.sink.documents import Document, service_id
from stages.sink.mongo import READ_DOCUMENTS, MongoStore, mapped, update
from stages.sink.store import Collection, Filter, Written

#: Fields of a sighting beside its `_id`, in the order of the index.
_ORDER = ("thing", "hash", "address", "port", "transport", "name")


class MongoCorpus(MongoStore):
    """See `stages.sink.corpus.Corpus`."""

    def observed(self, kind: str, since: int | None) -> AsyncIterator[Mapping[str, Any]]:
        return self.find(OBSERVATIONS[kind], Filter(since=since))

    async def count_certificates(self) -> int:
        return await self.count(Collection.CERTIFICATES)

    async def after(self, digest: str, most: int, *, reader: int | None = None) -> list[Document]:
        wanted: Document = {"_id": {"$gt": digest}}
        if reader is not None:
            wanted["reader"] = {"$ne": reader}
        with mapped(self.place):
            cursor = self._db["certificates"].find(wanted, {"reversed": 0}).sort("_id", 1).limit(most)
            return [document async for document in cursor]

    async def keys_of(self, digests: Sequence[str]) -> dict[str, str]:
        with mapped(self.place):
            cursor = self._db["certificates"].find({"_id": {"$in": list(digests)}}, {"spki_sha256": 1})
            return {d["_id"]: d["spki_sha256"] async for d in cursor if "spki_sha256" in d}

    async def authorities(self, subject: str, most: int) -> list[bytes]:
        with mapped(self.place):
            cursor = self._db["certificates"].find({"subject_sha256": subject, "ca": True}, {"raw": 1})
            return [bytes(d["raw"]) async for d in cursor.sort("_id", 1).limit(most)]

    async def asked_of(self, digests: Sequence[str]) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        with mapped(self.place):
            for digest in digests:
                cursor = self._db["sightings"].find({"thing": "certificate", "hash": digest}, {"name": 1})
                names = {d["name"] async for d in cursor.limit(MAX_ASKED_SIGHTINGS) if d["name"]}
                if names:
                    found[digest] = sorted(names)[:MAX_ASKED]
        return found

    async def services_of(self, digests: Sequence[str]) -> dict[str, int]:
        sightings = self._db["sightings"]
        with mapped(self.place):
            return {
                digest: int(await sightings.count_documents({"thing": "certificate", "hash": digest}))
                for digest in digests
            }

    async def see(self, sightings: Sequence[Seen]) -> None:
        if not sightings:
            return
        updates = [
            update(
                f"{s.thing}/{s.hash}/{service_id(s.ip, s.port, s.transport, s.name)}",
                {
                    "$min": {"first_seen": s.first_seen},
                    "$max": {"last_seen": s.last_seen},
                    "$setOnInsert": {
                        "thing": str(s.thing),
                        "hash": s.hash,
                        "ip": s.ip,
                        "address": s.address,
                        "port": s.port,
                        "transport": s.transport,
                        "name": s.name,
                    },
                },
                upsert=True,
            )
            for s in sightings
        ]
        with mapped(self.place):
            await self._upsert("sightings", updates, Written())

    async def sightings(self, thing: str | None = None) -> AsyncIterator[Document]:
        with mapped(self.place):
            cursor = self._db["sightings"].find({} if thing is None else {"thing": thing}, {"_id": 0})
            cursor = cursor.sort([(key, 1) for key in _ORDER]).allow_disk_use(True).batch_size(READ_DOCUMENTS)
            try:
                async for document in cursor:
                    yield document
            finally:
                await cursor.close()

    async def judge(self, judged: Sequence[Found]) -> None:
        updates = []
        for one in judged:
            changes: Document = {}
            if one.verdicts is not None:
                changes["$set"] = {"verdicts": one.verdicts}
            if one.fields is not None:
                names = [reverse(name) for name in one.fields["names"]]
                changes["$set"] = {**changes.get("$set", {}), **one.fields, "reversed": names}
                changes["$unset"] = dict.fromkeys(sorted(KEYS - one.fields.keys()), "")
            updates.append(update(one.sha256, {key: value for key, value in changes.items() if value}))
        if updates:
            with mapped(self.place):
                await self._upsert("certificates", updates, Written())

    async def state(self, job: str) -> Document | None:
        with mapped(self.place):
            found: Document | None = await self._db["jobs"].find_one({"_id": job}, {"_id": 0})
            return found

    async def save(self, job: str, state: Document) -> None:
        with mapped(self.place):
            await self._db["jobs"].replace_one({"_id": job}, state, upsert=True)
