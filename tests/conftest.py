"""For all tests: nothing may leave this host, and the real servers are fixtures."""

from __future__ import annotations

import os
import signal

import pytest
from hypothesis import settings

from tests.alone import leave_for_own_network

leave_for_own_network()

# Before anything of ours is imported: the guard reads the environment once.
os.environ["LONGLINE_CONFINE"] = "1"

# Who runs the tests in the background, or under nohup, may have made us deaf: what the tests start is to hear.
for deaf in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(deaf) is signal.SIG_IGN:
        signal.signal(deaf, lambda number, frame: None)

# Modules that test files share: their assertions are to be explained too.
pytest.register_assert_rewrite("tests.sink.contract", "tests.core.bus.contract", "tests.docs.seen")

# No example has a deadline: a machine may be busy, and the first call of a kernel compiles it.
settings.register_profile("longline", deadline=None)
settings.load_profile("longline")

pytest_plugins = ["tests.servers.kafka", "tests.servers.mongo"]


@pytest.fixture(autouse=True)
def _settings_of_the_machine_do_not_matter(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """A developer's own LONGLINE_* settings must not change what a test sees."""
    for name in list(os.environ):
        if name.startswith("LONGLINE_") and name != "LONGLINE_CONFINE":
            monkeypatch.delenv(name)


def pytest_make_parametrize_id(config: pytest.Config, val: object, argname: str) -> str | None:
    """Bytes may be drawn anew in each process, and processes side by side must call the same test by the same name."""
    return argname if isinstance(val, bytes) else None
