from __future__ import annotations

import pytest

from stages.core.settings import ListSettings
from stages.scanner.prepare import Prepared, prepare
from stages.scanner.settings import ScannerSettings
from stages.scanner.spec import ScanSpec
from stages.scanner.summary import Counters, Summary, Tally


def prepared(*targets: str, **more: object) -> Prepared:
    settings = ScannerSettings(targets=targets, **{"target_ports": "80,443", "seed": 7, **more})  # type: ignore[arg-type]
    return prepare(settings, ListSettings(), now_us=0, resolve=None, probing=False)


@pytest.fixture
def spec() -> ScanSpec:
    return prepared("10.0.0.0/30").spec


@pytest.fixture
def summary() -> Summary:
    return Summary("s", "packet", 8, 8, True, "complete", 0, 1, Counters(), Tally())
