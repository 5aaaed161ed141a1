"""A broker that does not let everybody in: certificates, passwords, and who may what."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from stages.core.bus.base import Output, Topics
from stages.core.bus.urls import open_publisher, open_source, topic_keeper
from stages.core.errors import HostError, LonglineError, Unavailable
from stages.core.settings import BusSettings
from tests.core.bus.contract import lines, never, read
from tests.servers.kafka_secure import PASSWORDS, SecureKafka


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureKafka]:
    with SecureKafka(tmp_path_factory.mktemp("secure")) as server:
        for user in ("worker", "alice"):
            server.allow(user)
        yield server


def bus(told: dict[str, Any], prefix: str) -> BusSettings:
    return BusSettings(**told, prefix=prefix, partitions=2, request_timeout=10, session_timeout=6)


async def there_and_back(settings: BusSettings) -> list[bytes]:
    topics = Topics(settings.prefix)
    publisher = open_publisher(settings.url, settings, main=topics.hits)
    await publisher.start()
    try:
        await publisher.publish([Output(topics.hits, b"%d" % n, b"line %d" % n) for n in range(20)])
    finally:
        await publisher.close()
    source = open_source(settings.url, (topics.hits,), f"{settings.prefix}.group", settings)
    await source.start(never)
    try:
        return sorted(lines(await read(source, 20)))
    finally:
        await source.close()


SENT = sorted(b"line %d" % n for n in range(20))


async def test_by_certificate(secure: SecureKafka) -> None:
    assert await there_and_back(bus(secure.by_certificate("worker"), "mutual")) == SENT


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "SCRAM-SHA-512"])
async def test_by_password(secure: SecureKafka, mechanism: str) -> None:
    told = secure.by_password("alice", PASSWORDS["alice"], mechanism)
    assert await there_and_back(bus(told, mechanism.lower())) == SENT


async def refusal(settings: BusSettings) -> Exception:
    """What a look at the topics ends with."""
    with pytest.raises(LonglineError) as caught:
        async with asyncio.timeout(60):
            await topic_keeper(settings.url, settings).found([Topics(settings.prefix).hits])
    return caught.value


async def test_a_wrong_password_is_said_and_the_password_is_not(
    secure: SecureKafka, caplog: pytest.LogCaptureFixture
) -> None:
    """It is tried again, as a password may be changed in two places one after the other."""
    error = await refusal(bus(secure.by_password("alice", "guessed"), "guess"))
    assert isinstance(error, Unavailable)
    assert "SaslAuthenticationFailed" in caplog.text
    assert "guessed" not in caplog.text + str(error)


async def test_who_shows_no_certificate_does_not_come_in(secure: SecureKafka) -> None:
    told = secure.by_certificate("worker")
    del told["ssl_certificate_file"], told["ssl_key_file"]
    assert isinstance(await refusal(bus(told, "nobody")), Unavailable | HostError)


async def test_a_broker_whose_certificate_nobody_vouches_for_is_not_talked_to(secure: SecureKafka) -> None:
    told = secure.by_certificate("worker")
    del told["ssl_ca_file"]
    assert isinstance(await refusal(bus(told, "stranger")), Unavailable | HostError)


async def test_who_may_not_write_is_told_so_and_does_not_try_for_ever(secure: SecureKafka) -> None:
    settings = bus(secure.by_password("mallory", PASSWORDS["mallory"]), "forbidden")
    publisher = open_publisher(settings.url, settings, main=Topics("forbidden").hits)
    with pytest.raises(HostError, match="uthoriz"):
        async with asyncio.timeout(60):
            await publisher.start()
    await publisher.close()


async def test_what_the_operations_guide_says_is_enough(secure: SecureKafka) -> None:
    """Topics are there; READ, WRITE and DESCRIBE of topics, READ of groups."""
    maker = bus(secure.by_certificate("worker"), "made")
    publisher = open_publisher(maker.url, maker, main=Topics("made").hits)
    await publisher.start()
    await publisher.close()
    secure.allow("modest", topics=("READ", "WRITE", "DESCRIBE"), groups=("READ",))
    assert await there_and_back(bus(secure.by_certificate("modest"), "made")) == SENT
