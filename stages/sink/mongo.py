"""The MongoDB store, by motor. The only file that knows the driver; PyMongo's own async client fits as well.

Without transactions, and without updates by pipeline (not every server that speaks the protocol has them), each step
is made so that it may be repeated and may come in any order:

    1. certificates   upserted: minima and maxima, the rest only on insert
    2. observations   inserted; a duplicate id is no error, its stored document is read back
    3. services       upserted from what is *stored*, so that a record which came second moves nothing; a crash between
                      2 and 3 is healed by the redelivery, which reads back and goes on
    4. scans          upserted

"Newer wins" is `$max` of an embedded document: MongoDB compares documents field by field in their order, and ours begin
with `ts` and `id`, so the one with the greater (ts, id) stays (`$min` for the start of a scan). One update by `_id`
alone, that needs no other index, no condition and no second try; two writers making one document say E11000, and that
is tried once more.

Acknowledged by a majority, or Unavailable. Indexes are made by `init` only, never by a worker.
"""

from __future__ import annotations

import inspect
import re
import warnings
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import bson
from bson.datetime_ms import DatetimeMS
from bson.errors import BSONError
from bson.raw_bson import RawBSONDocument
from pymongo import ASCENDING, InsertOne, ReplaceOne, UpdateOne, errors

from stages.core.errors import HostError, Unavailable, UsageError
from stages.core.section import masked
from stages.proto.x509.hostnames import reverse
from stages.sink.documents import (
    KINDS,
    MAX_DOCUMENT_BYTES,
    CertificateSeen,
    Document,
    Observation,
    ScanUpdate,
    ServiceUpdate,
    fold_services,
    service_id,
    summary,
)
from stages.sink.erasure import TABLES, Erasure
from stages.sink.store import OBSERVED, Batch, Collection, Filter, Written, ranges

#: Seconds to wait for one answer; and for a server that could give one.
DEFAULT_TIMEOUT: Final = 20.0
SELECTION_SECONDS: Final = 5.0

#: Documents a cursor fetches at once: what a reader holds in memory.
READ_DOCUMENTS: Final = 500

#: Ids in one query that reads stored observations back: 36 bytes each, far below a command's 16 MiB.
READ_BACK_IDS: Final = 10_000

#: Server error codes (mongodb/mongo src/mongo/base/error_codes.yml).
_DUPLICATE: Final = 11000
_COMMAND_NOT_FOUND: Final = 59
_INDEX_OPTIONS_CONFLICT: Final = 85
_UNAUTHORIZED: Final = frozenset({13, 18})
#: BadValue, FailedToParse, TypeMismatch, DollarPrefixedFieldName, EmptyFieldName, DottedFieldName,
#: DocumentValidationFailure, BSONObjectTooLarge, and the key of an index that is too long (servers before 4.2).
_FOR_GOOD: Final = frozenset({2, 9, 14, 52, 56, 57, 121, 10334, 17280})

#: Collection -> name of the index -> its keys. Few: each costs at every write.
INDEXES: Final[dict[str, dict[str, list[tuple[str, int]]]]] = {
    "services": {
        "address": [(key, ASCENDING) for key in ("address", "port", "transport", "name")],
        "last_seen": [("last_seen", ASCENDING)],
    },
    "observations": {
        "address": [(key, ASCENDING) for key in ("address", "port", "ts")],
        "scan": [(key, ASCENDING) for key in ("scan", "address", "port")],
        "ts": [("ts", ASCENDING), ("_id", ASCENDING)],
    },
    "certificates": {
        "reversed": [("reversed", ASCENDING)],
        "not_after": [("not_after", ASCENDING)],
        "first_seen": [("first_seen", ASCENDING)],
        "authority": [("subject_sha256", ASCENDING), ("ca", ASCENDING)],
    },
    "scans": {},
    "sightings": {"thing": [(key, ASCENDING) for key in ("thing", "hash", "address", "port", "transport", "name")]},
    "states": {
        "address": [("address", ASCENDING)],
        "down_since": [("down_since", ASCENDING), ("_id", ASCENDING)],
        "hashes": [("hashes", ASCENDING), ("missing", ASCENDING)],
    },
    "events": {
        "address": [("address", ASCENDING), ("port", ASCENDING)],
        "origin": [("origin", ASCENDING)],
        "ts": [("ts", ASCENDING), ("_id", ASCENDING)],
    },
}

#: What is forgotten by its age.
_FORGOTTEN: Final = ("observations", "events")

#: The TTL index on the date beside `ts`.
TTL_INDEX: Final = "retention"

_ORDER: Final[dict[str, list[tuple[str, int]]]] = {
    "services": [(key, ASCENDING) for key in ("address", "port", "transport", "name")],
    "observations": [("ts", ASCENDING), ("_id", ASCENDING)],
    "certificates": [("_id", ASCENDING)],
    "scans": [("first_seen", ASCENDING), ("_id", ASCENDING)],
}


#: Kept for an index only.
_HIDDEN: Final = {"date": 0, "reversed": 0}


@dataclass(slots=True)
class _Upsert:
    """One update of one document."""

    owner: str  #: whose rejection it is: id of an observation, SHA-256 of a certificate, name of a scan
    operation: UpdateOne | ReplaceOne[Any]


@dataclass(slots=True)
class Errors:
    """A bulk write's errors, sorted: indexes of duplicates, and of what is refused for good."""

    duplicates: list[int] = field(default_factory=list)
    refused: dict[int, str] = field(default_factory=dict)


def sort_errors(details: Mapping[str, Any]) -> Errors:
    """Sort the details of a BulkWriteError. Raises Unavailable if anything in them may go well another time."""
    sorted_ = Errors()
    for error in details.get("writeErrors", ()):
        code, said = error.get("code"), str(error.get("errmsg", ""))
        if code == _DUPLICATE:
            sorted_.duplicates.append(error["index"])
        elif code in _FOR_GOOD:
            sorted_.refused[error["index"]] = f"{said} (code {code})"
        else:
            raise Unavailable(f"the database did not write: {said} (code {code})")
    for error in details.get("writeConcernErrors", ()):
        raise Unavailable(f"the database did not acknowledge by a majority: {error.get('errmsg', error)}")
    return sorted_


@contextmanager
def mapped(place: str) -> Iterator[None]:
    """The driver's errors by our names."""
    try:
        yield
    except (errors.ConfigurationError, errors.InvalidURI) as error:
        raise UsageError("--store", place, str(error)) from error
    except errors.OperationFailure as error:
        if error.code in _UNAUTHORIZED:
            raise HostError(f"{place}: the database refuses us: {error.details or error}") from error
        raise Unavailable(f"{place}: {error}") from error
    except errors.ConnectionFailure as error:  # out of reach, timed out, not primary
        raise Unavailable(f"{place}: {error}") from error


def update(owner: str, changes: Document, *, upsert: bool = False) -> _Upsert:
    """An update of the document whose `_id` is `owner`."""
    return _Upsert(owner, UpdateOne({"_id": owner}, changes, upsert=upsert))


def replace(document: Document) -> _Upsert:
    """The document, in the place of the one with its `_id`."""
    return _Upsert(document["_id"], ReplaceOne({"_id": document["_id"]}, document, upsert=True))


def insert_new(document: Document) -> UpdateOne:
    """Insert the document, if there is none with its `_id`; with a date beside its `ts`, for the TTL."""
    whole = {**document, "date": DatetimeMS(document["ts"] // 1000)}
    return UpdateOne({"_id": whole.pop("_id")}, {"$setOnInsert": whole}, upsert=True)


def _motor(url: str, **options: Any) -> Any:
    from motor.motor_asyncio import AsyncIOMotorClient

    return AsyncIOMotorClient(url, **options)


class MongoStore:
    """Documents in one MongoDB database. `client`: what makes a client of a URL and options."""

    name = "mongodb"

    def __init__(
        self,
        url: str,
        database: str = "longline",
        *,
        timeout: float = DEFAULT_TIMEOUT,
        client: Callable[..., Any] = _motor,
    ) -> None:
        self.place = str(masked(url))
        self._url = url
        self._database = database
        self._timeout = timeout
        self._make = client
        self._client: Any = None
        self._db: Any = None

    async def open(self) -> None:
        if self._client is None:
            self._connect()
        with mapped(self.place):
            await self._client.admin.command("ping")

    def _connect(self) -> None:
        """Make the client; it connects later. Of an option that it does not know PyMongo only warns: an error here."""
        milliseconds = int(self._timeout * 1000)
        try:
            with warnings.catch_warnings(), mapped(self.place):
                warnings.simplefilter("error", UserWarning)
                self._client = self._make(
                    self._url,
                    appname="longline",
                    w="majority",
                    wTimeoutMS=milliseconds,
                    connectTimeoutMS=milliseconds,
                    socketTimeoutMS=milliseconds,
                    serverSelectionTimeoutMS=int(min(self._timeout, SELECTION_SECONDS) * 1000),
                )
                self._db = self._client.get_default_database(self._database)
        except (ValueError, UserWarning) as error:
            raise UsageError("--store", self.place, str(error)) from error

    async def close(self) -> None:
        client, self._client, self._db = self._client, None, None
        if client is not None:
            closing = client.close()
            if inspect.isawaitable(closing):
                await closing

    async def init(self, retention: float | None) -> list[str]:
        await self.open()
        done: list[str] = []
        with mapped(self.place):
            for collection, indexes in INDEXES.items():
                for name, keys in indexes.items():
                    await self._db[collection].create_index(keys, name=name)
                    done.append(f"{collection}: index {name} ({', '.join(key for key, _ in keys)})")
            if retention is not None:
                done += [await self._retain(collection, round(retention)) for collection in _FORGOTTEN]
        return done

    async def _retain(self, collection: str, seconds: int) -> str:
        """Make, change or (0) remove the TTL index."""
        documents = self._db[collection]
        known = (await documents.index_information()).get(TTL_INDEX)
        if seconds == 0:
            if known is not None:
                await documents.drop_index(TTL_INDEX)
            return f"{collection}: kept for ever"
        if known is not None and known.get("expireAfterSeconds") != seconds:
            try:
                await self._db.command("collMod", collection, index={"name": TTL_INDEX, "expireAfterSeconds": seconds})
            except errors.OperationFailure as error:
                if error.code != _COMMAND_NOT_FOUND:
                    raise
                await documents.drop_index(TTL_INDEX)
                known = None
        if known is None:
            await documents.create_index([("date", ASCENDING)], name=TTL_INDEX, expireAfterSeconds=seconds)
        return f"{collection}: TTL index {TTL_INDEX} of {seconds} seconds"

    # --- writing

    async def write(self, batch: Batch) -> Written:
        written = Written()
        with mapped(self.place):
            await self._certificates(batch.certificates, written)
            stored = await self._observations(batch.observations, written)
            services = [_of_service(update) for update in fold_services(stored)]
            written.services = await self._upsert("services", services, written)
            written.scans = await self._upsert("scans", [_of_scan(update) for update in batch.scans], written)
        return written

    async def _bulk(self, collection: str, operations: Sequence[Any]) -> tuple[Errors, Any]:
        try:
            result = await self._db[collection].bulk_write(operations, ordered=False)
        except errors.BulkWriteError as error:
            return sort_errors(error.details), None
        return Errors(), result

    async def _certificates(self, seen: list[CertificateSeen], written: Written) -> None:
        new = [_of_certificate(c) for c in seen if c.fields is not None]
        written.certificates += await self._upsert("certificates", new, written)
        known = [c for c in seen if c.fields is None]
        if known:
            sorted_, result = await self._bulk("certificates", [_of_certificate(c).operation for c in known])
            for i, why in sorted_.refused.items():
                written.rejected[known[i].sha256] = why
            if result is not None and result.matched_count < len(known):
                # Some were thought to be stored and are not. Which, does not matter: this is rare.
                written.missing.extend(c.sha256 for c in known)
            else:
                written.certificates += len(known) - len(sorted_.refused)

    async def _observations(self, observations: list[Observation], written: Written) -> list[Observation]:
        """Insert; returns what is stored under their ids, ours or what was there before."""
        operations: list[InsertOne[Any]] = []
        sent: list[Observation] = []
        for o in observations:
            try:
                raw = bson.encode({**o.document(), "date": DatetimeMS(o.ts // 1000)})
            except (BSONError, OverflowError, UnicodeError, TypeError) as error:
                written.rejected[o.id] = str(error)
                continue
            if len(raw) > MAX_DOCUMENT_BYTES:
                written.rejected[o.id] = f"{len(raw)} bytes, at most {MAX_DOCUMENT_BYTES}"
                continue
            operations.append(InsertOne(RawBSONDocument(raw)))
            sent.append(o)
        if not operations:
            return []
        sorted_, _ = await self._bulk("observations", operations)
        if not sorted_.duplicates and not sorted_.refused:
            written.stored += len(sent)
            return sent
        for i, why in sorted_.refused.items():
            written.rejected[sent[i].id] = why
        repeated = set(sorted_.duplicates)
        stored = [o for i, o in enumerate(sent) if i not in repeated and i not in sorted_.refused]
        written.stored += len(stored)
        written.repeated += len(repeated)
        ids = [sent[i].id for i in sorted(repeated)]
        for start in range(0, len(ids), READ_BACK_IDS):
            wanted = {"_id": {"$in": ids[start : start + READ_BACK_IDS]}}
            there = self._db["observations"].find(wanted, {"date": 0})
            stored.extend([Observation.of_document(document) async for document in there])
        return stored

    async def _upsert(self, collection: str, upserts: list[_Upsert], written: Written) -> int:
        """Write them; duplicates once more. Returns how many were written."""
        count = 0
        part = upserts
        for last in (False, True):
            if not part:
                break
            sorted_, _ = await self._bulk(collection, [upsert.operation for upsert in part])
            for i, why in sorted_.refused.items():
                written.rejected[part[i].owner] = why
            count += len(part) - len(sorted_.refused) - len(sorted_.duplicates)
            part = [part[i] for i in sorted_.duplicates]
            if part and last:
                raise Unavailable(f"{collection}: E11000 twice for {len(part)} upserts by _id")
        return count

    async def purge(self, before: int) -> int:
        with mapped(self.place):
            await self._db["events"].delete_many({"ts": {"$lt": before}})
            return int((await self._db["observations"].delete_many({"ts": {"$lt": before}})).deleted_count)

    async def erase(
        self, erasure: Erasure, network: tuple[bytes, bytes], clock: Callable[[], float], *, dry: bool = False
    ) -> None:
        inside = of_network(network)
        came = {"$or": [inside, of_network(network, "origin")]}  # events of what moved: from where, too
        of = {table: came if table == "events" else inside for table in TABLES}
        with mapped(self.place):
            if dry:
                for table in TABLES:
                    setattr(erasure, table, int(await self._db[table].count_documents(of[table])))
                return
            number = (await self._db["erasures"].insert_one(asdict(erasure))).inserted_id
            for table in TABLES:
                setattr(erasure, table, int((await self._db[table].delete_many(of[table])).deleted_count))
            erasure.ended = int(clock() * 1e6)
            await self._db["erasures"].update_one({"_id": number}, {"$set": asdict(erasure)})

    async def erasures(self) -> list[Erasure]:
        with mapped(self.place):
            found = self._db["erasures"].find({}, {"_id": 0}).sort([("at", ASCENDING), ("_id", ASCENDING)])
            return [Erasure(**document) async for document in found]

    # --- reading

    async def count(self, collection: Collection) -> int:
        kind = OBSERVED.get(collection)
        with mapped(self.place):
            if kind is not None:
                return int(await self._db["observations"].count_documents({"kind": kind}))
            return int(await self._db[str(collection)].count_documents({}))

    async def find(self, collection: Collection, where: Filter) -> AsyncIterator[Document]:
        table = "observations" if collection in OBSERVED else str(collection)
        with mapped(self.place):
            cursor = self._db[table].find(_filter(collection, where), _HIDDEN)
            cursor = cursor.sort(_ORDER[table]).allow_disk_use(True).batch_size(READ_DOCUMENTS)
            if where.limit is not None:
                cursor = cursor.limit(where.limit)
            try:
                async for document in cursor:
                    yield document
            finally:
                await cursor.close()


def _of_service(update: ServiceUpdate) -> _Upsert:
    o = update.newest
    identity: Document = {"ip": o.ip, "address": o.address, "port": o.port, "transport": o.transport}
    if o.name:
        identity["name"] = o.name
    changes = {
        "$min": {"first_seen": update.first_seen},
        "$max": {"last_seen": update.last_seen, o.kind: {"ts": o.ts, "id": o.id, **summary(o)}},
        "$setOnInsert": identity,
    }
    return _Upsert(o.id, UpdateOne({"_id": service_id(o.ip, o.port, o.transport, o.name)}, changes, upsert=True))


def _of_scan(update: ScanUpdate) -> _Upsert:
    least: Document = {"first_seen": update.first_seen}
    greatest: Document = {"last_seen": update.last_seen}
    for event, (ts, record_id, said) in update.events.items():
        extreme = least if event == "start" else greatest
        extreme[event] = {"ts": ts, "id": record_id, **said}
    return _Upsert(update.scan, UpdateOne({"_id": update.scan}, {"$min": least, "$max": greatest}, upsert=True))


def _of_certificate(seen: CertificateSeen) -> _Upsert:
    changes: dict[str, Document] = {"$min": {"first_seen": seen.first_seen}, "$max": {"last_seen": seen.last_seen}}
    if seen.fields is not None:
        changes["$setOnInsert"] = {
            **seen.fields,
            "reversed": [reverse(name) for name in seen.fields["names"]],
            "raw": seen.raw,
        }
    return _Upsert(seen.sha256, UpdateOne({"_id": seen.sha256}, changes, upsert=seen.fields is not None))


def _of_certificates(where: Filter) -> Iterator[Document]:
    if where.name is not None:
        yield {"reversed": reverse(where.name)}
    if where.below is not None:  # of one and the same name: two conditions on an array may hold of two
        yield {"reversed": {"$elemMatch": {"$gte": where.below[0], "$lt": where.below[1]}}}
    if where.issuer is not None:  # without case of ASCII only, as in SQLite: no option of the server's
        letters = (f"[{c}{c.upper()}]" if "a" <= c <= "z" else re.escape(c) for c in where.issuer)
        yield {"issuer": {"$regex": "".join(letters)}}
    if where.expiring is not None:
        yield {"not_after": {"$gte": where.expiring[0], "$lte": where.expiring[1]}}
    if where.new_since is not None:
        yield {"first_seen": {"$gte": where.new_since}}


def of_network(network: tuple[bytes, bytes], field: str = "address") -> Document:
    """What lies in a network."""
    parts = [{field: {"$gte": first, "$lte": last}} for first, last in ranges(network)]
    return {"$or": parts} if len(parts) > 1 else parts[0]


def _filter(collection: Collection, where: Filter) -> Document:
    conditions: list[Document] = []
    kind = OBSERVED.get(collection)
    services = collection is Collection.SERVICES
    if kind is not None:
        conditions.append({"kind": kind})
    if where.network is not None:
        conditions.append(of_network(where.network))
    if where.port is not None:
        conditions.append({"port": where.port})
    if where.outcome is not None:
        outcomes = ("banner.outcome", "tls.outcome") if services else ("outcome",)
        conditions.append({"$or": [{name: where.outcome} for name in outcomes]})
    if where.scan is not None:
        scans = [f"{k}.scan" for k in KINDS] if services else ["_id" if kind is None else "scan"]
        conditions.append({"$or": [{name: where.scan} for name in scans]})
    if where.since is not None:
        conditions.append({("ts" if kind else "last_seen"): {"$gte": where.since}})
    if collection is Collection.CERTIFICATES:
        conditions.extend(_of_certificates(where))
    elif where.name is not None:
        conditions.append({"name": where.name})
    return {"$and": conditions} if conditions else {}
