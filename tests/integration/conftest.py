"""A simulated Internet with a Kafka broker and a MongoDB wire server in its near namespace, and workers to put there.

One network for the session: 4,096 addresses on three ports. Each test takes topics and a database of its own name.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from zlib import crc32

import pytest

from stages.simnet.network import NamespacesClosed, Simnet
from stages.simnet.spec import Spec
from tests.integration.topics import Log
from tests.integration.workers import Crew
from tests.require import require
from tests.servers.kafka import KafkaServer
from tests.servers.mongo import MongoServer, require_mongo
from tests.simnet.conftest import as_nobody  # noqa: F401  (a fixture)

#: 12,288 targets, some 600 of them open, of every kind.
TOWN = Spec(seed=5, targets=("10.0.0.0/20",), ports=(22, 80, 443))


def build(spec: Spec) -> Simnet:
    """A network that the test's own thread may enter; a skip where there can be none."""
    require(os.geteuid() == 0, "root, to enter a namespace and come back")
    require(shutil.which("nft", path="/usr/sbin:/sbin:" + os.environ.get("PATH", "")), "nftables")
    net = Simnet(spec)
    try:
        return net.start()
    except NamespacesClosed as error:
        require(False, str(error))
        raise


@pytest.fixture(scope="session")
def town() -> Iterator[Simnet]:
    with build(TOWN) as net:
        yield net


@pytest.fixture(scope="session")
def town_kafka(town: Simnet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    """A broker on the near namespace's loopback."""
    with KafkaServer(tmp_path_factory.mktemp("town-kafka"), town.joiner()) as server:
        yield server


@pytest.fixture(scope="session")
def town_mongo(town: Simnet) -> Iterator[MongoServer]:
    """A database server there, in memory."""
    require_mongo()
    with MongoServer(join=town.joiner()) as server:
        yield server


@pytest.fixture
def town_mongo_durable(town: Simnet, tmp_path: Path) -> Iterator[MongoServer]:
    """A database server of this test's own, over a file."""
    require_mongo()
    with MongoServer(tmp_path / "mongo.h2", town.joiner()) as server:
        yield server


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A name of this test's own, for topics and databases."""
    return f"{request.node.originalname[:30]}_{crc32(request.node.nodeid.encode()):08x}"


@pytest.fixture
def log(town: Simnet, town_kafka: KafkaServer, name: str) -> Log:
    return Log(town, town_kafka, name)


@pytest.fixture
def store(town_mongo: MongoServer, name: str) -> str:
    return f"{town_mongo.url}/{name}"


@pytest.fixture
def crew() -> Iterator[Crew]:
    """Ends the workers of a test; shows their logs if it failed."""
    with Crew() as crew:
        yield crew
