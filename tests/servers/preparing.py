"""A scan prepared from keyword arguments, for tests of what comes behind the command line."""

from __future__ import annotations

from typing import Any

from stages.core.settings import ListSettings
from stages.scanner.checkpoint import Checkpoint
from stages.scanner.prepare import Prepared, prepare
from stages.scanner.settings import ScannerSettings

NOW = 1_795_245_000_000_000


def prepared(
    *targets: str, lists: ListSettings | None = None, held: Checkpoint | None = None, **fields: Any
) -> Prepared:
    """`target_ports` is 80 and the seed 1 unless told otherwise; secrets are zeros."""
    fields = {"target_ports": "80", "seed": 1, **fields}
    settings = ScannerSettings(targets=targets or ("10.0.0.0/28",), **fields)
    return prepare(
        settings, lists or ListSettings(), now_us=NOW, resolve=lambda name: [], held=held, random=lambda n: bytes(n)
    )
