from __future__ import annotations

import dataclasses

import pytest

from stages.scanner.fields import default_fields
from stages.scanner.hits import HitLines, HitSource
from stages.scanner.outputs.base import Format


def test_a_format_does_not_change() -> None:
    wanted = Format(default_fields("tcp_synscan", 1), HitLines(HitSource("s", "p")))
    assert wanted.header_row
    with pytest.raises(dataclasses.FrozenInstanceError):
        wanted.header_row = False  # type: ignore[misc]
