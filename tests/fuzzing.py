"""How many inputs a fuzz test reads: some in `make test`, as many as LONGLINE_FUZZ says in `make fuzz`.

A test of this kind bears the marker `fuzz`, which `make fuzz` chooses by, and a timeout that grows with its inputs.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Final

import pytest

#: What a test reads unless it says otherwise.
INPUTS: Final = 20_000
#: Seconds that any test may take (pyproject.toml), and inputs a second on a busy machine.
_SECONDS: Final = 180
_SPEED: Final = 300


def inputs(default: int = INPUTS) -> int:
    return int(os.environ.get("LONGLINE_FUZZ") or default)


def fuzz(test: Callable[..., Any]) -> Callable[..., Any]:
    """The marker, and the timeout."""
    marked: Callable[..., Any] = pytest.mark.fuzz(pytest.mark.timeout(max(_SECONDS, inputs() // _SPEED))(test))
    return marked
