"""From a URL to a transport: `-`, `sqlite:FILE`, `kafka://HOST:PORT[,HOST:PORT]`, `memory:NAME`.

The transports are imported when they are opened: aiokafka alone costs more than `--help` may take.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from stages.core.bus.base import Broadcast, Chunk, Publisher, Source, Tail
from stages.core.bus.topic_plan import Keeper
from stages.core.errors import UsageError

if TYPE_CHECKING:
    from stages.core.bus.kafka_options import KafkaOptions
    from stages.core.settings import BusSettings

#: Standard input and output.
PIPE: Final = "-"

#: What begins the path, the query and the fragment of a URL (RFC 3986 section 3).
_BEYOND_HOSTS: Final = frozenset("/?#")


def open_source(url: str, topics: Sequence[str], group: str, settings: BusSettings) -> Source:
    """A source of `topics` for one member of `group`, not started. Raises UsageError for a URL that is none.

    A pipe has no topics: its lines are those of the first one.
    """
    scheme, rest = _parts(url)
    if scheme == PIPE:
        from stages.core.bus.pipe import PipeSource

        return PipeSource(topics[0])
    if scheme == "sqlite":
        from stages.core.bus.sqlite import SqliteSource

        return SqliteSource(rest, topics, group)
    if scheme == "kafka":
        from stages.core.bus.kafka import KafkaSource

        return KafkaSource(_kafka(rest, settings), topics, group)
    from stages.core.bus.memory import MemoryBus

    return MemoryBus.named(rest, settings.partitions).source(topics, group)


def open_publisher(url: str, settings: BusSettings, *, main: str | None = None, stage: str = "") -> Publisher:
    """A publisher, not started. `main` is the topic of the stage's results, the one that a pipe writes; `stage` names
    whose dead letters they are. Raises UsageError for a URL that is none."""
    scheme, rest = _parts(url)
    if scheme == PIPE:
        from stages.core.bus.pipe import PipePublisher

        return PipePublisher(main, dead=settings.dead, stage=stage)
    if scheme == "sqlite":
        from stages.core.bus.sqlite import SqlitePublisher

        return SqlitePublisher(rest, max_log_bytes=settings.max_log_bytes)
    if scheme == "kafka":
        from stages.core.bus.kafka import KafkaPublisher

        return KafkaPublisher(_kafka(rest, settings), [main] if main is not None else [])
    from stages.core.bus.memory import MemoryBus

    return MemoryBus.named(rest, settings.partitions).publisher(settings.batch_lines)


def open_tail(url: str, topic: str, key: bytes, settings: BusSettings) -> Tail:
    """A reader of what comes for `key` from now on, not started. Raises UsageError as `look`."""
    scheme, rest = _parts(url)
    if scheme == PIPE:
        raise UsageError("bus", url, "holds nothing for a key: sqlite:FILE or kafka://HOST:PORT")
    if scheme == "sqlite":
        from stages.core.bus.sqlite import SqliteTail

        return SqliteTail(rest, topic)
    if scheme == "kafka":
        from stages.core.bus.kafka import KafkaTail

        return KafkaTail(_kafka(rest, settings), topic, key)
    from stages.core.bus.memory import MemoryBus

    return MemoryBus.named(rest, settings.partitions).tail(topic, key)


def open_broadcast(url: str, topic: str, settings: BusSettings) -> Broadcast:
    """A reader of a whole topic for itself alone, not started. Raises UsageError for a URL that is none, or a pipe."""
    scheme, rest = _parts(url)
    if scheme == "sqlite":
        from stages.core.bus.sqlite import SqliteBroadcast

        return SqliteBroadcast(rest, topic)
    if scheme == "kafka":
        from stages.core.bus.kafka import KafkaBroadcast

        return KafkaBroadcast(_kafka(rest, settings), topic)
    if scheme == "memory":
        from stages.core.bus.memory import MemoryBus

        return MemoryBus.named(rest, settings.partitions).broadcast(topic)
    raise UsageError("--bus", url, "holds nothing: sqlite:FILE or kafka://HOST:PORT")


def look(url: str, topic: str, settings: BusSettings) -> AsyncIterator[Chunk]:
    """All that stands in a topic now, from its beginning; nobody becomes a reader of it by that. Raises UsageError for
    a URL that is none, or a pipe."""
    scheme, rest = _parts(url)
    if scheme == "sqlite":
        from stages.core.bus.sqlite import look as look_in_file

        return look_in_file(rest, topic)
    if scheme == "kafka":
        from stages.core.bus.kafka import look as look_in_cluster

        return look_in_cluster(_kafka(rest, settings), topic)
    raise UsageError("--bus", url, "holds nothing: sqlite:FILE or kafka://HOST:PORT")


def topic_keeper(url: str, settings: BusSettings) -> Keeper:
    """Who looks at a log's topics and changes them. Raises UsageError for a log whose topics need nobody."""
    scheme, rest = _parts(url)
    if scheme != "kafka":
        raise UsageError("--bus", url, "has no topics to be made: kafka://HOST:PORT")
    from stages.core.bus.kafka import KafkaTopics

    return KafkaTopics(_kafka(rest, settings))


async def expect(url: str, topics: Sequence[str], group: str) -> None:
    """Say that `group` will read `topics`, before it starts: a SQLite log then keeps everything for it. Kafka keeps
    records for its own time, whoever reads them."""
    scheme, rest = _parts(url)
    if scheme == "sqlite":
        from stages.core.bus.sqlite import expect as expect_in_file

        await expect_in_file(rest, topics, group)


def _parts(url: str) -> tuple[str, str]:
    """(scheme, what it names)."""
    if url == PIPE:
        return PIPE, ""
    scheme, _, rest = url.partition(":")
    if scheme in ("sqlite", "memory"):
        rest = rest.removeprefix("//")
    elif scheme == "kafka" and rest.startswith("//"):
        # By hand: urllib takes one host, and a patched one (Debian's 3.11.2) refuses a list with an IPv6 address in it.
        rest = unquote(rest.removeprefix("//").removesuffix("/"))
        if not _BEYOND_HOSTS.isdisjoint(rest):
            raise UsageError("bus", url, "a Kafka URL is kafka://HOST:PORT[,HOST:PORT] and nothing more")
    else:
        raise UsageError("bus", url, "is none of -, sqlite:FILE, kafka://HOST:PORT[,HOST:PORT]")
    if not rest:
        raise UsageError("bus", url, "names nothing after its scheme")
    return scheme, rest


def _kafka(rest: str, settings: BusSettings) -> KafkaOptions:
    from stages.core.bus.kafka_options import KafkaOptions, parse_bootstrap

    return KafkaOptions(
        parse_bootstrap(rest),
        partitions=settings.partitions,
        replication=settings.replication,
        batch_lines=settings.batch_lines,
        request_timeout=settings.request_timeout,
        session_timeout=settings.session_timeout,
        rebalance_timeout=settings.rebalance_timeout,
        member=settings.member,
        security_protocol=settings.security_protocol,
        sasl_mechanism=settings.sasl_mechanism,
        sasl_username=settings.sasl_username,
        sasl_password=settings.sasl_password,
        ssl_ca_file=settings.ssl_ca_file,
        ssl_certificate_file=settings.ssl_certificate_file,
        ssl_key_file=settings.ssl_key_file,
    )
