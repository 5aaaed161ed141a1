"""A dialogue with a peer that is bytes: what a test of each needs."""

from __future__ import annotations

from collections.abc import Sequence

from stages.proto.dialogues.base import Pace, Target, Told
from stages.proto.dialogues.facts import KEYS
from stages.proto.recognise.registry import SERVICES

TARGET = Target("192.0.2.1", 80, None, b"seed")
PACE = Pace(first=3.0, idle=1.5, total=9.0)


def target(port: int = 80, name: str | None = None) -> Target:
    return Target("192.0.2.1", port, name, b"seed")


def hear(talk: Told, data: bytes, size: int | None = None) -> bytes | None:
    """Let it hear that, whole or in pieces; what it says to it, None: it is over. It may be over only at the end."""
    said = b""
    step = size or max(1, len(data))
    for at in range(0, len(data), step):
        more = talk.receive(data[at : at + step])
        if more is None:
            return None
        said += more
    return said


def converse(talk: Told, turns: Sequence[tuple[bytes, bytes | None]], size: int | None = None) -> Told:
    """Each turn: what the peer says, and what must be said to it. The end is told."""
    for number, (data, expected) in enumerate(turns):
        assert hear(talk, data, size) == expected, number
    talk.eof()
    checked(talk)
    return talk


def checked(talk: Told) -> None:
    """What holds of every dialogue at every time."""
    assert talk.facts.keys() <= KEYS.keys()
    assert talk.service is None or talk.service in SERVICES
    assert talk.broken is None or talk.facts["error"] == talk.broken
