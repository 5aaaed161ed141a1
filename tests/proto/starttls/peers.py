"""A prelude fed with a server's bytes in pieces: what a test of each protocol needs."""

from __future__ import annotations

from collections.abc import Sequence

from stages.proto.starttls.prelude import Prelude


def walk(prelude: Prelude, turns: Sequence[tuple[bytes, bytes]], size: int | None = None, opening: bytes = b"") -> None:
    """Each turn: what the server says, and what must be said to it. It must be ready at the end, not before."""
    assert prelude.opening() == opening
    for number, (answer, expected) in enumerate(turns):
        step = size or len(answer)
        said = b""
        assert not prelude.ready
        for at in range(0, len(answer), step):
            said += prelude.receive(answer[at : at + step])
        assert said == expected, number
    assert prelude.ready
    assert prelude.rest == b""


def hear(prelude: Prelude, said: Sequence[bytes]) -> None:
    """Let it hear all of that."""
    for piece in said:
        prelude.receive(piece)
