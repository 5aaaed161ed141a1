"""MongoDB over TLS, by what the URL says."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from stages.core.errors import Unavailable
from stages.sink.mongo import MongoStore
from stages.sink.store import Collection
from tests.servers.certificates import new_key, signed
from tests.servers.mongo import MongoServer, require_mongo

CA = "Longline Test CA"


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[MongoServer, Path]]:
    """(the server, the file of who vouches for it)"""
    require_mongo()
    folder = tmp_path_factory.mktemp("tls")
    ca, key = new_key(), new_key()
    der = serialization.Encoding.DER
    (folder / "certificate.der").write_bytes(signed("localhost", key, CA, ca).public_bytes(der))
    (folder / "key.der").write_bytes(
        key.private_bytes(der, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    root = signed(CA, ca, CA, ca, ca=True)
    (folder / "ca.pem").write_bytes(root.public_bytes(serialization.Encoding.PEM))
    with MongoServer(tls=folder) as server:
        yield server, folder / "ca.pem"


async def test_a_store_is_reached_by_tls(secure: tuple[MongoServer, Path]) -> None:
    server, ca = secure
    store = MongoStore(f"mongodb://localhost:{server.port}/tls?tls=true&tlsCAFile={ca}", "longline")
    await store.open()
    try:
        assert await store.count(Collection.SERVICES) == 0
    finally:
        await store.close()


@pytest.mark.parametrize("query", ["?tls=true&serverSelectionTimeoutMS=2000", "?serverSelectionTimeoutMS=2000"])
async def test_nobody_vouches_for_it_or_no_tls_is_spoken(
    secure: tuple[MongoServer, Path], query: str, caplog: pytest.LogCaptureFixture
) -> None:
    server, _ = secure
    caplog.set_level(logging.DEBUG)
    store = MongoStore(f"mongodb://localhost:{server.port}/tls{query}", "longline")
    with pytest.raises(Unavailable):
        await store.open()
    await store.close()
