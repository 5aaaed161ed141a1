"""What is MongoDB's own: errors by their codes, crashes between two steps, a server that goes away and comes back."""

from __future__ import annotations

import asyncio
from typing import Any

import pymongo
import pytest
from pymongo import errors

from stages.core.errors import HostError, Unavailable, UsageError
from stages.sink.mongo import INDEXES, TTL_INDEX, MongoStore, mapped, sort_errors
from stages.sink.store import Batch, Collection, Filter
from tests.servers.mongo import MongoServer
from tests.servers.proxy import Proxy
from tests.sink.conftest import mongo_store
from tests.sink.material import T0, banner, batch_of, hit, scan, snapshot, tls, write


def _error(code: int, index: int = 0) -> dict[str, Any]:
    return {"code": code, "index": index, "errmsg": f"said {code}"}


def test_errors_are_sorted_by_their_codes() -> None:
    sorted_ = sort_errors({"writeErrors": [_error(11000, 3), _error(121, 5), _error(10334, 6), _error(11000, 9)]})
    assert sorted_.duplicates == [3, 9]
    assert sorted_.refused == {5: "said 121 (code 121)", 6: "said 10334 (code 10334)"}
    for code in (91, 189, 112, 50, 99999):
        with pytest.raises(Unavailable, match=f"code {code}"):
            sort_errors({"writeErrors": [_error(11000), _error(code, 1)]})
    with pytest.raises(Unavailable, match=r"majority.*waiting"):
        sort_errors({"writeErrors": [], "writeConcernErrors": [{"code": 64, "errmsg": "waiting timed out"}]})
    assert sort_errors({}).duplicates == []


@pytest.mark.parametrize(
    ("raised", "ours"),
    [
        (errors.ServerSelectionTimeoutError("no servers"), Unavailable),
        (errors.AutoReconnect("closed"), Unavailable),
        (errors.NetworkTimeout("slow"), Unavailable),
        (errors.NotPrimaryError("stepped down"), Unavailable),
        (errors.WTimeoutError("majority", 64), Unavailable),
        (errors.OperationFailure("shutting down", 91), Unavailable),
        (errors.OperationFailure("auth", 18), HostError),
        (errors.OperationFailure("not allowed", 13), HostError),
        (errors.InvalidURI("bad"), UsageError),
        (errors.ConfigurationError("bad"), UsageError),
        (KeyError("ours"), KeyError),
    ],
)
def test_errors_by_our_names(raised: Exception, ours: type[Exception]) -> None:
    with pytest.raises(ours), mapped("mongodb://u:***@h"):
        raise raised


async def test_a_crash_between_observation_and_service_is_healed(motor_store: MongoStore) -> None:
    """The observation was stored, then the sink died; what comes again, even with other content, heals it."""
    record = banner(ts=T0, data=b"stored")
    observation = batch_of([record]).observations[0]
    await motor_store._db["observations"].insert_one(observation.document())
    again = banner(ts=T0 + 5, data=b"came again")
    assert again.id == record.id
    written = await write(motor_store, again, hit(ts=T0 + 1))
    assert (written.stored, written.repeated) == (1, 1)
    [service] = [d async for d in motor_store.find(Collection.SERVICES, Filter())]
    assert (service["banner"]["ts"], service["banner"]["data"]) == (T0, b"stored")
    assert (service["first_seen"], service["last_seen"]) == (T0, T0 + 1)


async def test_two_sinks_at_once(mongo_server: MongoServer) -> None:
    """Upserts of the same documents from two clients: E11000 is no error, and the result is that of one."""
    one = mongo_store(mongo_server)
    two = MongoStore(mongo_server.url, one._database)
    alone = mongo_store(mongo_server)
    records = [hit(f"10.0.0.{i % 7}", T0 + i, scan=f"s{i}") for i in range(140)]
    try:
        for store in (one, two, alone):
            await store.open()
        parts = [records[i : i + 10] for i in range(0, 140, 10)]
        await asyncio.gather(*[(one, two)[i % 2].write(batch_of(part)) for i, part in enumerate(parts * 2)])
        await write(alone, *records)
        assert await snapshot(one) == await snapshot(alone)
    finally:
        for store in (one, two, alone):
            await store.close()


async def test_a_bulk_is_split_where_a_command_ends(motor_store: MongoStore) -> None:
    """60 MB of observations: more than one message (maxMessageSizeBytes is 48 MB)."""
    big = [banner(f"10.0.0.{i}", data=bytes(1_000_000)) for i in range(60)]
    assert (await write(motor_store, *big)).stored == 60
    assert await motor_store.count(Collection.BANNERS) == 60


async def test_indexes_are_made_by_init_only(motor_store: MongoStore, mongo_server: MongoServer) -> None:
    await write(motor_store, hit(), tls(ders=[b"x"]), scan())
    database = motor_store._db
    assert list(await database["services"].index_information()) == ["_id_"]
    said = await motor_store.init(86_400)
    assert any(TTL_INDEX in line for line in said)
    for collection, indexes in INDEXES.items():
        there = set(await database[collection].index_information())
        assert there == {"_id_", *indexes} | ({TTL_INDEX} if collection in ("observations", "events") else set())
    await motor_store.init(3_600)
    assert (await database["observations"].index_information())[TTL_INDEX]["expireAfterSeconds"] == 3_600
    await motor_store.init(None)
    assert TTL_INDEX in await database["observations"].index_information()
    assert "observations: kept for ever" in await motor_store.init(0)
    assert TTL_INDEX not in await database["observations"].index_information()


async def test_the_date_of_the_ttl_stands_beside_the_time(motor_store: MongoStore) -> None:
    import datetime as dt

    await write(motor_store, hit(ts=T0 + 1_234_567))
    [document] = await motor_store._db["observations"].find({}).to_list(None)
    assert document["date"] == dt.datetime(2026, 11, 21, 7, 0, 1, 234_000)  # noqa: DTZ001
    [shown] = [d async for d in motor_store.find(Collection.HITS, Filter())]
    assert "date" not in shown


async def test_out_of_reach(mongo_server: MongoServer) -> None:
    with Proxy("127.0.0.1", mongo_server.port) as proxy:
        proxy.cut()
        store = MongoStore(f"mongodb://user:secret@127.0.0.1:{proxy.port}/x", timeout=0.5)
        try:
            with pytest.raises(Unavailable) as caught:
                await store.open()
            assert "secret" not in str(caught.value)
            assert "127.0.0.1" in str(caught.value)
        finally:
            await store.close()


@pytest.mark.parametrize("silently", [False, True])
async def test_a_network_that_is_cut(mongo_server: MongoServer, silently: bool) -> None:
    with Proxy("127.0.0.1", mongo_server.port) as proxy:
        store = MongoStore(f"mongodb://127.0.0.1:{proxy.port}", f"cut{silently}", timeout=0.7)
        try:
            await store.open()
            await write(store, hit())
            proxy.cut(silently=silently)
            with pytest.raises(Unavailable):
                await write(store, hit("10.0.0.2"), banner())
            proxy.mend()
            written = await write(store, hit("10.0.0.2"), banner())
            assert written.stored + written.repeated == 2
            assert await store.count(Collection.SERVICES) == 2
        finally:
            await store.close()


async def test_a_server_that_is_stopped_and_started(mongo_durable: MongoServer) -> None:
    store = MongoStore(mongo_durable.url, timeout=1.0)
    try:
        await store.open()
        await write(store, hit(), scan())
        before = await snapshot(store)
        mongo_durable.stop()
        with pytest.raises(Unavailable):
            await write(store, hit("10.0.0.2"))
        mongo_durable.start()
        assert await snapshot(store) == before
        assert (await write(store, hit("10.0.0.2"))).stored == 1
    finally:
        await store.close()


@pytest.mark.parametrize(
    "url", ["mongodb://", "mongodb://[::1", "mongodb://h:99999999", "mongodb://h/?w=x&retryWrites=7"]
)
async def test_a_bad_url(url: str) -> None:
    store = MongoStore(url, timeout=0.2)
    try:
        with pytest.raises(UsageError, match="--store"):
            await store.open()
    finally:
        await store.close()


async def test_the_database_of_the_url(mongo_server: MongoServer) -> None:
    store = MongoStore(f"{mongo_server.url}/named", "fallback")
    try:
        await store.open()
        await store.write(Batch(observations=batch_of([hit()]).observations))
    finally:
        await store.close()
    with pymongo.MongoClient(mongo_server.url) as client:
        assert client["named"]["observations"].count_documents({}) == 1
        assert "fallback" not in client.list_database_names()


async def test_what_bson_cannot_hold_is_rejected(motor_store: MongoStore) -> None:
    """documents.storable keeps such out; a caller that did not ask it harms only itself."""
    batch = batch_of([hit(), hit("10.0.0.2"), hit("10.0.0.3")])
    batch.observations[1].body["tcp"] = {"seq": 2**64}
    written = await motor_store.write(batch)
    assert list(written.rejected) == [batch.observations[1].id]
    assert written.stored == 2
