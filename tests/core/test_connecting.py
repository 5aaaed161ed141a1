from __future__ import annotations

import pytest

from stages.core.connecting import RTT_FACTOR, SYN_REPEAT, connect_timeout


@pytest.mark.parametrize(
    ("rtt", "lowest", "highest", "expected"),
    [
        (None, 2.0, 4.0, 4.0),
        (-1.0, 2.0, 4.0, 4.0),
        (0.0, 2.0, 4.0, 2.0),
        (0.01, 0.5, 4.0, SYN_REPEAT + RTT_FACTOR * 0.01),
        (0.5, 2.0, 4.0, SYN_REPEAT + RTT_FACTOR * 0.5),
        (60.0, 2.0, 4.0, 4.0),
        (0.01, 5.0, 4.0, 4.0),
    ],
)
def test_connect_timeout(rtt: float | None, lowest: float, highest: float, expected: float) -> None:
    assert connect_timeout(rtt, lowest, highest) == expected


def test_one_lost_syn_is_survived() -> None:
    assert connect_timeout(0.2, 0.1, 10.0) > SYN_REPEAT + 0.2
