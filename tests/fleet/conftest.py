from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from stages.fleet import ca
from tests.fleet.house import House
from tests.fleet.material import NOW, work


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> ca.Authority:
    """With a coordinator's certificate for loopback beside it."""
    folder: Path = tmp_path_factory.mktemp("fleet")
    moment = dt.datetime.fromtimestamp(min(NOW, dt.datetime.now(dt.UTC).timestamp()), dt.UTC)
    made = ca.Authority.make(folder, moment)
    made.server(ca.Identity(folder), ("127.0.0.1", "localhost"), moment)
    return made


@pytest.fixture
async def house(tmp_path: Path, authority: ca.Authority) -> AsyncIterator[House]:
    """With a scan, and nobody who does it."""
    made = House(tmp_path, authority)
    await made.begin(work=work())
    yield made
    made.state.close()
