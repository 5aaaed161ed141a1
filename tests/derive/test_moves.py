"""What has moved, and what is shared."""

from __future__ import annotations

import pytest

from stages.core.events import EventType
from stages.derive.availability import Miss, Shown, State
from stages.derive.moves import MAX_SHARING, move, moved
from stages.derive.sightings import Thing
from stages.sink.documents import address_of, service_id
from tests.derive.sweeps import at, swept

HASH = "a" * 64


def state(ip: str, since: int, *, last: int = 0, missing: bool = False, port: int = 443, hash: str = HASH) -> State:
    shown = {Thing.CERTIFICATE: Shown(hash, "full", at(since))}
    row = (Miss(at(last + 1), at(last + 2), "s", "v"),) if missing else ()
    text, address = address_of(ip)
    key = service_id(text, port, "tcp", "")
    return State(key, text, address, port, "tcp", "", at(0), at(last), None, row, dict(shown))


A, B, C = "10.0.0.1", "10.0.0.2", "10.0.0.3"


@pytest.mark.parametrize(
    ("states", "pair"),
    [
        ([state(A, 0, last=5, missing=True), state(B, 7)], (A, B)),
        ([state(B, 7), state(A, 0, last=5, missing=True)], (A, B)),
        ([state(A, 0, last=5, missing=True), state(B, 4)], None),  # both at a time
        ([state(A, 0, last=5), state(B, 7)], None),  # not gone
        ([state(A, 0, last=5, missing=True)], None),  # nowhere else
        ([state(A, 0, last=5, missing=True), state(B, 7, last=9, missing=True)], None),  # both gone
        ([state(A, 0, last=5, missing=True), state(B, 7), state(C, 0)], None),  # shared all along
        ([state(A, 0, last=5, missing=True), state(B, 7), state(C, 9)], (A, B)),  # to the first
        ([state(A, 0, last=5, missing=True), state(C, 0, last=6, missing=True), state(B, 7)], (C, B)),  # from the last
        ([state(A, 0, last=5, missing=True), state(A, 7, port=8443)], None),  # the same address
        ([state(A, 0, last=5, missing=True), state(B, 7, hash="b" * 64)], None),
    ],
)
def test_moved(states: list[State], pair: tuple[str, str] | None) -> None:
    found = moved(Thing.CERTIFICATE, HASH, states)
    assert (found and (found[0].ip, found[1].ip)) == pair


def test_what_very_many_show_is_shared() -> None:
    many = [state(f"10.1.0.{i}", 0, last=5, missing=True) for i in range(MAX_SHARING)]
    assert moved(Thing.CERTIFICATE, HASH, many) is None
    assert moved(Thing.CERTIFICATE, HASH, [*many[1:], state(B, 7)]) is not None
    assert moved(Thing.CERTIFICATE, HASH, [*many, state(B, 7)]) is None


def test_what_is_told() -> None:
    source, to = state(A, 0, last=5, missing=True), state(B, 7)
    event = move(Thing.CERTIFICATE, source, to, swept(9))
    assert (event.type, event.ip, event.ts, event.scan) == (EventType.MOVED, B, at(7), "v1-9")
    place = {"ip": A, "port": 443, "transport": "tcp"}
    assert event.details == {"thing": "certificate", "hash": HASH, "from": place, "last_seen": at(5)}
    assert event.id == move(Thing.CERTIFICATE, source, to, swept(99, "v2")).id
