"""The ground that the documents' commands stand on: a simulated Internet, and in it a broker and a database server."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest

from stages.simnet.network import NamespacesClosed, Simnet
from tests.docs.plays import NET
from tests.integration.workers import LONGLINE
from tests.require import require
from tests.servers.kafka import KafkaServer
from tests.servers.mongo import MongoServer, require_mongo

#: Seconds that compiling may take; machines are busy.
COMPILES = 600.0


@pytest.fixture(scope="session")
def docs_net() -> Iterator[Simnet]:
    require(os.geteuid() == 0, "root, for a simulated network that a test enters")
    require(shutil.which("nft", path="/usr/sbin:/sbin:" + os.environ.get("PATH", "")), "nftables")
    net = Simnet(NET)
    try:
        net.start()
    except NamespacesClosed as error:
        require(False, str(error))
    with net:
        yield net


@pytest.fixture(scope="session")
def compiled(docs_net: Simnet) -> None:
    """The engine of connections that are gone on with, which the first start on a machine compiles for minutes."""
    argv = [LONGLINE, "scan", "-p", "9", "-n", "1", "-c", "0", "-q", "--grab", "wait", "10.0.0.1"]
    assert docs_net.run(argv).wait(COMPILES) == 0


@pytest.fixture(scope="session")
def docs_servers(docs_net: Simnet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """`{kafka}` and `{mongo}` of the replacements, as HOST:PORT."""
    require_mongo()
    join = docs_net.joiner()
    with KafkaServer(tmp_path_factory.mktemp("docs-kafka"), join) as kafka, MongoServer(join=join) as mongo:
        yield {"{kafka}": kafka.bootstrap, "{mongo}": mongo.url.removeprefix("mongodb://")}
