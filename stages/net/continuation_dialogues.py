"""Dialogues that are objects, on the connections of a table: events in, commands out. Driven as `net.dialing` does it.

All of a batch is handled in one go: the events of a kernel call become calls of `receive`, `silence`, `eof`; what the
dialogues answer is collected, and one more kernel call says it all. A conversation knows its slot in the table by its
place in a list.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from errno import EADDRINUSE, ECONNRESET, ENOBUFS
from typing import Any, Final, Literal

import numpy as np

from stages.net import tcp, tcp_talking
from stages.net.conversation import READ, WRITE, Conversation, Dialogue
from stages.net.halfopen import HALFOPEN, HalfOpenArray
from stages.net.tcp import Tcp

#: Without a kernel socket there is no connect to time out.
_NO_TIMEOUT: Final = 0.0
_DATA, _EOF, _RESET, _EXPIRED = tcp.DATA, tcp.EOF, tcp.RESET, tcp.EXPIRED
_KEEP, _OPEN_STILL = tcp_talking.KEEP, tcp_talking.OPEN_STILL
_MICROSECONDS: Final = 1_000_000

#: A command as it becomes a row of COMMAND.
Command = tuple[int, int, int, int, int, int]


class Talks:
    """The conversations of one engine. One thread's own."""

    def __init__(self, capacity: int, *, by_reset: bool, keep_data: bool) -> None:
        self._at: list[Conversation | None] = [None] * capacity
        self._by_reset = tcp_talking.WITH_RESET if by_reset else tcp_talking.WITH_FIN
        self._keep = keep_data
        self._commands: list[Command] = []
        self._words: list[bytes] = []
        self._size = 0  # bytes in it
        self.open = 0
        self.ended: list[Conversation] = []

    # -- opening ----------------------------------------------------------------------------------------------------

    def begin(self, table: Tcp, half: HalfOpenArray, slots: list[int], made: list[Conversation], now: int) -> None:
        """The connections of `half` have slots (or EXISTS): have each dialogue say its first words."""
        places = np.maximum(np.array(slots, np.int64), 0)
        began = table.connections["began"][places].tolist()
        started = table.connections["started"][places].tolist()
        ours, own_ports = half["ours"].tolist(), half["own_port"].tolist()
        for i, conversation in enumerate(made):
            slot = slots[i]
            if slot < 0:
                conversation.failed, conversation.errno, conversation.left_host = True, EADDRINUSE, False
                conversation.closed_by, conversation.ended = "us", 0.0
                self.ended.append(conversation)
                continue
            self._at[slot] = conversation
            self.open += 1
            conversation._fd = slot
            conversation._begun = began[i] / _MICROSECONDS
            conversation.started = started[i]
            conversation.connected = (now - began[i]) / _MICROSECONDS
            conversation.phase = READ
            try:
                dialogue = conversation._dialogue
                introduce = getattr(dialogue, "local", None)
                if introduce is not None:
                    introduce(socket.inet_ntoa(ours[i].to_bytes(4, "big")), own_ports[i], conversation.started)
                opening = dialogue.opening()
                total = began[i] + int(dialogue.total * _MICROSECONDS)
                self._wish(conversation, opening, now + int(dialogue.wait() * _MICROSECONDS), total)
            except Exception as fault:  # a dialogue's own: it ends this conversation, not the engine
                conversation.fault = fault
                self._end(table, conversation, "us", now)

    def _wish(
        self, conversation: Conversation, words: bytes, say_at: int, total_at: int, close: int = _OPEN_STILL
    ) -> None:
        slot = conversation._fd
        if words:
            conversation.sent += len(words)  # as with a socket: what was given to send
            self._commands.append((slot, close, self._size, len(words), say_at, total_at))
            self._words.append(words)
            self._size += len(words)
        else:
            self._commands.append((slot, close, 0, 0, say_at, total_at))

    # -- events -----------------------------------------------------------------------------------------------------

    def handle(self, table: Tcp, count: int, now: int) -> None:
        """The first `count` events of the table."""
        rows = table.events[:count]
        heard = memoryview(table.heard)  # type: ignore[arg-type]
        kinds, slots, places = rows["kind"].tolist(), rows["slot"].tolist(), rows["data_at"].tolist()
        sizes, whens = rows["size"].tolist(), rows["when"].tolist()
        at = self._at
        for i in range(count):
            conversation = at[slots[i]]
            if conversation is None:
                continue  # it has ended by an event of the same batch
            kind = kinds[i]
            try:
                if kind == _DATA:
                    data = bytes(heard[places[i] : places[i] + sizes[i]])
                    self._receive(table, conversation, data, whens[i], now)
                elif kind == _EOF:
                    last = conversation._dialogue.eof()
                    self._end(table, conversation, "peer", whens[i], last or b"")
                elif kind == _RESET:
                    self._reset(conversation, whens[i])
                elif kind == _EXPIRED:
                    self._expire(table, conversation, now)
                else:
                    conversation.failed, conversation.errno = True, ENOBUFS
                    self._end(table, conversation, "us", now)
            except Exception as fault:  # as in `begin`
                conversation.fault = fault
                self._end(table, conversation, "us", now)

    def _receive(self, table: Tcp, conversation: Conversation, data: bytes, when: int, now: int) -> None:
        if conversation.first_byte is None:
            conversation.first_byte = when / _MICROSECONDS - conversation._begun
        room = conversation._max_bytes - conversation.size
        if len(data) > room:
            conversation.truncated = True
            data = data[:room]
        conversation.size += len(data)
        if self._keep and data:
            conversation.data.append(data)
        dialogue = conversation._dialogue
        answer = dialogue.receive(data) if data else b""
        if answer is None or conversation.truncated:
            last = dialogue.farewell() if answer is None else b""
            self._end(table, conversation, "us", now, last)
        else:
            self._wish(conversation, answer, now + int(dialogue.idle * _MICROSECONDS), _KEEP)

    def _expire(self, table: Tcp, conversation: Conversation, now: int) -> None:
        dialogue = conversation._dialogue
        seconds = now / _MICROSECONDS
        total = conversation._begun + dialogue.total
        if conversation.first_byte is None and seconds < total and not self._unheard(table, conversation._fd):
            more = dialogue.silence()
            if more is not None:
                self._wish(conversation, more, now + int(dialogue.wait() * _MICROSECONDS), _KEEP)
                return
        conversation.timed_out = True
        self._end(table, conversation, "us", now)

    def _unheard(self, table: Tcp, slot: int) -> bool:
        """Whether something was sent and nothing of it acknowledged."""
        row = table.connections[slot]
        return bool(row["top"] != row["base"] and row["una"] == row["base"])

    # -- the end ----------------------------------------------------------------------------------------------------

    def _reset(self, conversation: Conversation, when: int) -> None:
        """A RST came: the connection has left the table."""
        conversation.failed, conversation.errno = True, ECONNRESET
        self._drop(conversation, "peer", when)

    def _end(
        self, table: Tcp, conversation: Conversation, closed_by: Literal["peer", "us"], now: int, last: bytes = b""
    ) -> None:
        slot = conversation._fd
        if conversation.timed_out and self._unheard(table, slot):
            conversation.phase = WRITE
        if table.rules[tcp.CONTROL_ON]:
            conversation.control = bool(table.connections["flags"][slot] & tcp.CONTROL)
        if table.connections["errno"][slot] and not conversation.failed:
            row = table.connections[slot]
            conversation.errno = int(row["errno"])
            sender = socket.inet_ntoa(int(row["icmp_sender"]).to_bytes(4, "big"))
            conversation.icmp = int(row["icmp_type"]), int(row["icmp_code"]), sender
        self._wish(conversation, last, _KEEP, _KEEP, self._by_reset)
        self._drop(conversation, closed_by, now)

    def _drop(self, conversation: Conversation, closed_by: Literal["peer", "us"], now: int) -> None:
        conversation.closed_by = closed_by
        conversation.ended = now / _MICROSECONDS - conversation._begun
        self._at[conversation._fd] = None
        self.open -= 1
        self.ended.append(conversation)

    @property
    def wishes(self) -> int:
        """Commands that wait."""
        return len(self._commands)

    def take_commands(self) -> tuple[np.ndarray[Any, np.dtype[np.void]], np.ndarray[Any, np.dtype[np.uint8]]]:
        """What the dialogues want, as rows of COMMAND, and the bytes that they point to."""
        commands = np.array(self._commands, tcp_talking.COMMAND)
        words = np.frombuffer(bytearray(b"".join(self._words)) or bytearray(1), np.uint8)
        self._commands, self._words, self._size = [], [], 0
        return commands, words

    def take_ended(self) -> list[Conversation]:
        """What has ended since."""
        ended, self.ended = self.ended, []
        return ended

    def forget(self) -> None:
        """All are gone, and nothing of them is told."""
        self._at = [None] * len(self._at)
        self._commands, self._words, self._size = [], [], 0
        self.ended = []
        self.open = 0


def conversations_of(
    half: HalfOpenArray, dialogues: Sequence[Dialogue], tags: Sequence[object], max_bytes: int
) -> list[tuple[bytes, Conversation]]:
    """Conversations with the peers of HALFOPEN rows, each behind its row."""
    data, size = np.ascontiguousarray(half, HALFOPEN).tobytes(), HALFOPEN.itemsize
    made = []
    for i, (peer, port) in enumerate(zip(half["peer"].tolist(), half["peer_port"].tolist(), strict=True)):
        host = socket.inet_ntoa(peer.to_bytes(4, "big"))
        conversation = Conversation(host, port, dialogues[i], tags[i], _NO_TIMEOUT, max_bytes)
        conversation.via = "raw"
        made.append((data[i * size : (i + 1) * size], conversation))
    return made


OnConversations = Callable[[list[Conversation]], None]
