from __future__ import annotations

import pytest

from stages.net.ownaddress import toward


def test_to_itself() -> None:
    assert toward("127.0.0.9") == "127.0.0.1"


@pytest.mark.parametrize("ip", ["255.255.255.255", "nonsense", ":nonsense"])
def test_without_a_way(ip: str) -> None:
    assert toward(ip) is None
