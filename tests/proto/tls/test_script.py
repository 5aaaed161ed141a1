"""What all connections of a run have in common."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stages.proto.tls.groups import BASE_POINTS, FRESH_RANDOM
from stages.proto.tls.offers import MODERN, WIDE
from stages.proto.tls.script import RANDOM_BYTES, Stop, script_of


def test_the_shares_are_the_base_points() -> None:
    assert script_of(MODERN).template.shares == {29: BASE_POINTS[29]}
    assert script_of(replace(MODERN, shares=(23, 29))).template.shares == {23: BASE_POINTS[23], 29: BASE_POINTS[29]}
    assert script_of(WIDE).template.shares == {}


def test_a_group_without_a_base_point_is_refused() -> None:
    with pytest.raises(ValueError, match="group 4588"):
        script_of(replace(MODERN, shares=(4588,)))


def test_the_randomness_that_it_takes() -> None:
    assert script_of(MODERN).random_bytes == RANDOM_BYTES == 64
    assert script_of(MODERN, fresh=True, stop=Stop.HELLO).random_bytes == RANDOM_BYTES + FRESH_RANDOM
