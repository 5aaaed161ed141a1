"""What a test needs of the machine: for a user a missing part is a skip with its reason, in CI a failure."""

from __future__ import annotations

import os

import pytest


def require(condition: object, reason: str) -> None:
    """Go on if `condition` holds; otherwise skip with `reason`, or fail when CI is set."""
    if condition:
        return
    if os.environ.get("CI"):
        pytest.fail(f"missing in CI: {reason}")
    pytest.skip(reason)
