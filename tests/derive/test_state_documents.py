"""States as they are stored; `test_availability.py` reads all that it makes back."""

from __future__ import annotations

from stages.derive.availability import Rules, step
from stages.derive.state_documents import document, state_of
from tests.derive.sweeps import at, service, shook, swept


def test_what_is_not_so_is_absent() -> None:
    state, _ = step(service(), None, swept(0), Rules(), {})
    state.tell = []
    assert document(state) == {
        "_id": "10.0.0.1:443/tcp", "ip": "10.0.0.1", "address": bytes(10) + b"\xff\xff\x0a\0\0\x01", "port": 443,
        "transport": "tcp", "last_changed": at(0), "last_seen": at(0), "shown": {}, "hashes": [],
    }  # fmt: skip


def test_what_is_looked_for() -> None:
    seen = service(tls=shook("b" * 64), name="x.example")
    state, _ = step(seen, None, swept(9, names=("x.example",)), Rules(1, 1), {"b" * 64: "a" * 64})
    said = document(state)
    assert said["name"] == "x.example"
    assert (said["hashes"], said["missing"], said["down_since"]) == (["a" * 64, "b" * 64], True, at(9))
    assert said["row"] == [{"started": at(9), "ended": at(14), "scan": "v1-9", "vantage": "v1"}]
    assert len(said["tell"]) == 2
    assert said["look"] is True
    assert state_of(said) == state
