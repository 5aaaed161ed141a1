"""Dialogues that are objects, driven over a table as `net.dialing` drives them over sockets."""

from __future__ import annotations

from errno import EADDRINUSE, ECONNRESET
from typing import Any

import numpy as np
import pytest

from stages.net import tcp, tcp_talking
from stages.net.continuation_dialogues import Talks, conversations_of
from stages.net.conversation import Conversation
from tests.servers.tcp_table import ACK, FIN, RST, START_US, WALL_US, Hand, Segment, half

#: The first test on a machine compiles the kernels.
pytestmark = pytest.mark.timeout(600)


class Said:
    """Notes what it is asked; answers from a list."""

    idle, total = 1.0, 10.0

    def __init__(self, opening: bytes = b"", *, silence: list[bytes | None] | None = None, answers: Any = None) -> None:
        self.calls: list[Any] = []
        self._opening = opening
        self._silence = silence or [None]
        self._answers = answers or []

    def local(self, address: str, port: int, microseconds: int) -> None:
        self.calls.append((address, port))

    def opening(self) -> bytes:
        self.calls.append("opening")
        return self._opening

    def wait(self) -> float:
        return 2.0

    def silence(self) -> bytes | None:
        self.calls.append("silence")
        return self._silence.pop(0)

    def receive(self, data: bytes) -> bytes | None:
        self.calls.append(data)
        answer = self._answers.pop(0) if self._answers else b""
        if isinstance(answer, Exception):
            raise answer
        return answer

    def farewell(self) -> bytes:
        return b"bye"

    def eof(self) -> bytes | None:
        self.calls.append("eof")
        return b"last"


class Talking:
    """One dialogue on a table."""

    def __init__(self, dialogue: Said, max_bytes: int = 1000) -> None:
        self.hand = Hand()
        self.talks = Talks(4, by_reset=False, keep_data=True)
        self.dialogue = dialogue
        row = half()
        slots = np.zeros(1, np.int64)
        tcp_talking.open_dialogues(self.hand.table, row, slots, self.hand.now, WALL_US)
        [(_, self.conversation)] = conversations_of(row, [dialogue], ["tag"], max_bytes)
        self.talks.begin(self.hand.table, row, slots.tolist(), [self.conversation], self.hand.now)
        self.sent = self._obey()

    def _obey(self) -> list[Segment]:
        commands, words = self.talks.take_commands()
        done = tcp_talking.obey(self.hand.table, commands, 0, len(commands), words, self.hand.now)
        assert done == len(commands)
        return self.hand.out()

    def _events(self, out: list[Segment]) -> list[Segment]:
        while self.hand.events:
            rows, heard = [], b""
            for slot, kind, data in self.hand.events:
                rows.append((slot, kind, len(heard), len(data), self.hand.now))
                heard += data
            self.hand.events.clear()
            table = self.hand.table
            table.heard[: len(heard)] = np.frombuffer(heard, np.uint8)
            table.events[: len(rows)] = np.array(rows, tcp.EVENT)
            self.talks.handle(table, len(rows), self.hand.now)
            if self.talks.wishes:
                out = out + self._obey()
        return out

    def feed(self, *segments: Segment) -> list[Segment]:
        return self._events(self.hand.feed(*segments))

    def wait(self, seconds: float) -> list[Segment]:
        return self._events(self.hand.wait(seconds))

    def ended(self) -> Conversation:
        (conversation,) = self.talks.take_ended()
        assert conversation is self.conversation
        assert self.talks.open == 0
        return conversation


def test_a_whole_dialogue() -> None:
    talk = Talking(Said(b"hi", answers=[b"more", None]))
    assert [s.data for s in talk.sent] == [b"hi"]
    out = talk.feed(Segment(seq=1001, ack=5002, data=b"abc"))
    assert [s.data for s in out] == [b"more"]
    talk.hand.now += 500_000
    out = talk.feed(Segment(seq=1004, ack=5006, data=b"def"))
    assert [(s.data, s.flags & FIN) for s in out] == [(b"bye", FIN)]
    c = talk.ended()
    assert talk.dialogue.calls == [("198.51.100.2", 40_000), "opening", b"abc", b"def"]
    assert (c.body, c.size, c.sent, c.closed_by, c.phase, c.failed) == (b"abcdef", 6, 9, "us", "read", False)
    assert (c.host, c.port, c.tag, c.started) == ("10.0.0.1", 80, "tag", WALL_US - 10_000)
    assert (c.connected, c.first_byte) == (pytest.approx(0.01), pytest.approx(0.01))
    assert c.ended == pytest.approx(0.51)


def test_the_peer_closes() -> None:
    talk = Talking(Said())
    out = talk.feed(Segment(seq=1001, ack=5000, data=b"abc", flags=ACK | FIN))
    assert [(s.data, s.flags & FIN) for s in out if s.data] == [(b"last", FIN)]
    c = talk.ended()
    assert (c.body, c.closed_by, c.sent) == (b"abc", "peer", 4)


def test_the_peer_resets() -> None:
    talk = Talking(Said())
    talk.feed(Segment(seq=1001, ack=5000, data=b"abc"), Segment(seq=1004, flags=RST))
    c = talk.ended()
    assert (c.body, c.failed, c.errno, c.closed_by) == (b"abc", True, ECONNRESET, "peer")


def test_silence_is_asked_and_then_it_is_over() -> None:
    talk = Talking(Said(silence=[b"hello?", None]))
    assert [s.data for s in talk.wait(2.1) if s.data] == [b"hello?"]
    talk.feed(Segment(seq=1001, ack=5006))
    talk.wait(2.1)
    c = talk.ended()
    assert (c.timed_out, c.phase, c.sent, c.first_byte) == (True, "read", 6, None)
    assert talk.dialogue.calls[2:] == ["silence", "silence"]


def test_words_that_nobody_acknowledges() -> None:
    talk = Talking(Said(b"hi"))
    talk.wait(2.1)
    c = talk.ended()
    assert (c.timed_out, c.phase) == (True, "write")
    assert "silence" not in talk.dialogue.calls


def test_idle_ends_it() -> None:
    talk = Talking(Said())
    talk.feed(Segment(seq=1001, ack=5000, data=b"abc"))
    talk.wait(1.1)
    c = talk.ended()
    assert (c.timed_out, c.phase, c.body) == (True, "read", b"abc")


def test_the_limit() -> None:
    talk = Talking(Said(), max_bytes=4)
    talk.feed(Segment(seq=1001, ack=5000, data=b"abcd"))
    assert talk.talks.take_ended() == []
    talk.feed(Segment(seq=1005, ack=5000, data=b"e"))
    c = talk.ended()
    assert (c.body, c.truncated) == (b"abcd", True)


def test_a_dialogue_that_raises_ends_alone() -> None:
    talk = Talking(Said(answers=[ValueError("no")]))
    talk.feed(Segment(seq=1001, ack=5000, data=b"abc"))
    c = talk.ended()
    assert isinstance(c.fault, ValueError)


def test_each_stands_behind_its_row() -> None:
    rows = np.concatenate([half(), half()])
    rows["peer"], rows["peer_port"] = [0x0A000001, 0x0A000002], [80, 81]
    spread = np.repeat(rows, 2)[::2]  # not in one piece
    made = conversations_of(spread, [Said(), Said()], ["a", "b"], 10)
    assert [row for row, _ in made] == [rows[:1].tobytes(), rows[1:].tobytes()]
    assert [(c.host, c.port, c.tag, c.via) for _, c in made] == [
        ("10.0.0.1", 80, "a", "raw"), ("10.0.0.2", 81, "b", "raw"),
    ]  # fmt: skip


def test_a_connection_that_is_open_already() -> None:
    talks = Talks(4, by_reset=True, keep_data=True)
    [(_, conversation)] = conversations_of(half(), [Said()], [None], 10)
    talks.begin(Hand().table, half(), [tcp_talking.EXISTS], [conversation], START_US)
    assert talks.take_ended() == [conversation]
    assert (conversation.errno, conversation.left_host) == (EADDRINUSE, False)
