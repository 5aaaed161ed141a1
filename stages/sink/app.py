"""What the command calls: the store a URL names, the stage over it, `--init` and `--purge`.

store = open_store(store_settings, sink_settings)
stage = build(store_settings, sink_settings, metrics)      # for the runner, with capacity=stage.capacity
await init(store_settings, sink_settings)                  # -> lines to show
await purge(store_settings, sink_settings)                 # -> observations removed
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeVar

from stages.core.bus.base import Topics
from stages.core.errors import UsageError
from stages.core.metrics import Metrics
from stages.core.settings import StoreSettings, masked
from stages.sink.corpus import Corpus
from stages.sink.history import History
from stages.sink.metrics import SinkMetrics
from stages.sink.retention import before
from stages.sink.settings import SinkSettings
from stages.sink.stage import SinkStage
from stages.sink.store import Store
from stages.sink.survey import Survey

T = TypeVar("T")


def topics_of(topics: Topics) -> tuple[str, ...]:
    """What the sink reads."""
    return (topics.hits, topics.banners, topics.tls, topics.scans)


def _sqlite(store: StoreSettings, sink: SinkSettings, read_only: bool) -> Store:
    from stages.sink.sqlite import SqliteStore

    return SqliteStore(store.url.partition(":")[2], read_only=read_only, cache_bytes=sink.cache_bytes)


def _mongodb(store: StoreSettings, sink: SinkSettings, read_only: bool) -> Store:
    from stages.sink.mongo import MongoStore

    return MongoStore(store.url, store.database, timeout=sink.timeout)


#: Scheme of `--store` -> what opens it. The libraries that a store needs are imported there.
STORES: Final[dict[str, Callable[[StoreSettings, SinkSettings, bool], Store]]] = {
    "sqlite": _sqlite,
    "mongodb": _mongodb,
    "mongodb+srv": _mongodb,
}


def open_store(store: StoreSettings, sink: SinkSettings, *, read_only: bool = False) -> Store:
    """The store that `store.url` names, not yet opened. Raises UsageError for a scheme that none has."""
    return _maker(STORES, store)(store, sink, read_only)


def _maker(makers: dict[str, T], store: StoreSettings) -> T:
    scheme = store.url.partition(":")[0]
    if scheme not in makers:
        raise UsageError("--store", masked(store.url), f"not one of {', '.join(f'{name}:...' for name in makers)}")
    return makers[scheme]


def _sqlite_corpus(store: StoreSettings, sink: SinkSettings, read_only: bool) -> Corpus:
    from stages.sink.sqlite_corpus import SqliteCorpus

    return SqliteCorpus(store.url.partition(":")[2], read_only=read_only, cache_bytes=sink.cache_bytes)


def _mongo_corpus(store: StoreSettings, sink: SinkSettings, read_only: bool) -> Corpus:
    from stages.sink.mongo_corpus import MongoCorpus

    return MongoCorpus(store.url, store.database, timeout=sink.timeout)


#: The same for a store whose certificates are worked on.
CORPORA: Final[dict[str, Callable[[StoreSettings, SinkSettings, bool], Corpus]]] = {
    "sqlite": _sqlite_corpus,
    "mongodb": _mongo_corpus,
    "mongodb+srv": _mongo_corpus,
}


def is_corpus(store: StoreSettings) -> bool:
    """Whether that store can be opened as one."""
    return store.url.partition(":")[0] in CORPORA


def open_corpus(store: StoreSettings, sink: SinkSettings, *, read_only: bool = False) -> Corpus:
    """`open_store`, as a corpus."""
    return _maker(CORPORA, store)(store, sink, read_only)


def _sqlite_history(store: StoreSettings, sink: SinkSettings, read_only: bool) -> History:
    from stages.sink.sqlite_history import SqliteHistory

    return SqliteHistory(store.url.partition(":")[2], read_only=read_only, cache_bytes=sink.cache_bytes)


def _mongo_history(store: StoreSettings, sink: SinkSettings, read_only: bool) -> History:
    from stages.sink.mongo_history import MongoHistory

    return MongoHistory(store.url, store.database, timeout=sink.timeout)


#: The same for a store that keeps the states of services.
HISTORIES: Final[dict[str, Callable[[StoreSettings, SinkSettings, bool], History]]] = {
    "sqlite": _sqlite_history,
    "mongodb": _mongo_history,
    "mongodb+srv": _mongo_history,
}


def is_history(store: StoreSettings) -> bool:
    """Whether that store can be opened as one."""
    return store.url.partition(":")[0] in HISTORIES


def open_history(store: StoreSettings, sink: SinkSettings, *, read_only: bool = False) -> History:
    """`open_store`, as a history."""
    return _maker(HISTORIES, store)(store, sink, read_only)


def open_to_show(store: StoreSettings, sink: SinkSettings) -> Store:
    """To be read only: as a history, where it can be one."""
    return (open_history if is_history(store) else open_store)(store, sink, read_only=True)


def _sqlite_survey(store: StoreSettings, sink: SinkSettings, read_only: bool) -> Survey:
    from stages.sink.sqlite_survey import SqliteSurvey

    return SqliteSurvey(store.url.partition(":")[2], read_only=read_only, cache_bytes=sink.cache_bytes)


def _mongo_survey(store: StoreSettings, sink: SinkSettings, read_only: bool) -> Survey:
    from stages.sink.mongo_survey import MongoSurvey

    return MongoSurvey(store.url, store.database, timeout=sink.timeout)


#: The same for a store that is asked about whole scans.
SURVEYS: Final[dict[str, Callable[[StoreSettings, SinkSettings, bool], Survey]]] = {
    "sqlite": _sqlite_survey,
    "mongodb": _mongo_survey,
    "mongodb+srv": _mongo_survey,
}


def open_survey(store: StoreSettings, sink: SinkSettings, *, read_only: bool = True) -> Survey:
    """`open_store`, for questions about whole scans."""
    return _maker(SURVEYS, store)(store, sink, read_only)


def build(store: StoreSettings, sink: SinkSettings, metrics: Metrics | None = None) -> SinkStage:
    """The stage, for the runner."""
    return SinkStage(open_store(store, sink), sink, SinkMetrics(metrics))


async def init(store: StoreSettings, sink: SinkSettings) -> list[str]:
    """Make tables, indexes and the TTL. Returns what there is now, in words. Raises Unavailable, HostError."""
    target = open_store(store, sink)
    try:
        return await target.init(sink.retention)
    finally:
        await target.close()


async def purge(store: StoreSettings, sink: SinkSettings, *, clock: Callable[[], float] = time.time) -> int:
    """Remove the observations older than the retention. Returns how many went."""
    if not sink.retention:
        raise UsageError("--purge", None, "needs --retention, such as 90d")
    target = open_store(store, sink)
    try:
        await target.open()
        return await target.purge(before(sink.retention, int(clock() * 1e6)))
    finally:
        await target.close()
