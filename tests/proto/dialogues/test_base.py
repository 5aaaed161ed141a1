"""What dialogues have in common."""

from __future__ import annotations

import pytest

from stages.proto.dialogues.base import Told
from tests.proto.dialogues.peers import PACE, TARGET, Target


@pytest.mark.parametrize(
    ("address", "name", "host"),
    [("192.0.2.1", None, "192.0.2.1"), ("192.0.2.1", "a.example", "a.example"), ("fe80::1%eth0", None, "[fe80::1]")],
)
def test_the_host(address: str, name: str | None, host: str) -> None:
    assert Target(address, 80, name).host == host


def test_randomness_is_the_seed_s() -> None:
    assert TARGET.random(16) == TARGET.random(32)[:16]
    assert TARGET.random(16) != Target("192.0.2.1", 80, None, b"other").random(16)


def test_one_that_only_hears() -> None:
    talk = Told(TARGET, PACE)
    assert (talk.opening(), talk.wait(), talk.idle, talk.total) == (b"", 3.0, 1.5, 9.0)
    assert (talk.silence(), talk.receive(b"x"), talk.farewell(), talk.eof()) == (None, b"", b"", None)
    assert (talk.service, talk.facts, talk.broken) == (None, {}, None)
    talk.breaks("no\0")
    assert (talk.broken, talk.facts) == ("no\\x00", {"error": "no\\x00"})
