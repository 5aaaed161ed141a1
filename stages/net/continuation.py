"""The engine of continued connections: half-open ones in, what became of them out. One thread, no kernel sockets.

Theory. The scanner's SYN-ACK is half a handshake; here is the other half and what follows, by the state machine of
`stages.net.tcp`, at the scanner's speed. A turn of the thread is a few kernel calls, each over all that is there: a
block of the ring, the deadlines that are due, the connections that were put, the commands of dialogues. What they
write is taken away in between: frames to the wire, bytes to the dialogues, fixed conversations that have ended to
`on_ended`. Python touches batches, and dialogues that are objects; never a packet.

    put ---> waiting --open_fixed---> +--------+ --frames--> wire
    talk --> waiting --open_dialogues>|  table | --endings-> on_ended
    ring --> blocks ---receive------->|        | --events--> dialogues --commands--> obey --+
    clock -------------tick---------->+--------+ <------------------------------------------+

The kernel of this host must keep quiet meanwhile (`stages.net.firewall`): it knows nothing of these connections and
would answer each packet with a RST. The peer's side of half a handshake lives for a minute at most; what is put waits
no longer than the table is full.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from secrets import randbits
from typing import Any, Final, Literal

import numpy as np

from stages.net import confine, ring, tcp, tcp_input, tcp_talking, tcp_timers
from stages.net.continuation_dialogues import Talks, conversations_of
from stages.net.continuation_link import Link, Outlet, packet_filter
from stages.net.conversation import Conversation, Dialogue
from stages.net.ended import ENDED, Ended
from stages.net.halfopen import HALFOPEN, HalfOpenArray
from stages.net.siphash import key_words

__all__ = ["ENDED", "HALFOPEN", "Continuation", "Ended", "Fixed", "Link"]

log = logging.getLogger("longline.net.continuation")

#: Half-open connections that wait to be continued, at most, beside those in the table: a few seconds' worth.
MAX_WAITING: Final = 1 << 17
#: The same for those to be reset.
MAX_RESETS: Final = 1 << 20
#: Milliseconds that the thread waits for packets when nothing else is to do: deadlines are as late as this.
WAIT_MS: Final = 4
#: And with nothing open at all.
_IDLE_MS: Final = 20
#: A block is handed over after this time: half of what a round trip costs us beside the network. All blocks together
#: last for a quarter of a second of whatever comes.
RETIRE_MS: Final = 4
#: Object dialogues begun in one turn: 10 ms of Python, so that packets do not wait longer.
_TALK_SLICE: Final = 1024
#: Fixed ones: about the same.
_PUT_SLICE: Final = 16_384
#: Blocks of the ring handled in one turn.
_BLOCKS_A_TURN: Final = 8
#: More than so many of them at once: packets come faster than they are handled.
_KEEPING_UP: Final = 2
_MICROSECONDS: Final = 1_000_000
#: Seconds between looks at the ring's count of lost packets.
_LOOK_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Fixed:
    """The dialogue that is compiled with the engine, the same for every connection. Times in seconds."""

    payload: bytes = b""  #: what we send; b"": nothing ever
    wait: float = 0.0  #: with a payload: how long the peer may speak first; 0: it may not
    first: float = 4.0  #: for the first byte
    idle: float = 1.0  #: between two segments
    total: float = 30.0  #: for the whole conversation
    max_bytes: int = 65_536


class Continuation(threading.Thread):
    """See the module's docstring. `put`, `talk` and `reset` are for any thread, the callbacks run on this one."""

    def __init__(
        self,
        link: Link,
        source_ports: tuple[int, int],
        *,
        fixed: Fixed | None = None,
        close: Literal["fin", "rst"] = "rst",
        capacity: int = 200_000,
        own_wscale: int = -1,
        control: bytes | None = None,
        on_ended: Callable[[Ended], None] | None = None,
        on_conversations: Callable[[list[Conversation]], None] | None = None,
        keep_data: bool = True,
        chunks: int | None = None,
        outlet: Literal["packet", "xdp"] = "packet",
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`source_ports`: first and last; all TCP to them is seen. `fixed`: needed for `put`. `own_wscale`: what
        our SYN offered, -1: none. `control`: a 16-byte key; a SYN goes to a keyed port of each new host
        (`Ended.control`). `on_ended`, `on_conversations`: called on the engine's thread with batches, each
        connection exactly once. `keep_data`: False when the dialogues keep what they need. `chunks`: of `tcp.CHUNK`
        bytes, for what is held; by default one for each connection.

        Raises NoRawAccess, ConfinedError, OSError; ValueError for numbers that cannot be.
        """
        super().__init__(name="continuation", daemon=True)
        confine.check_packets(link.interface)
        if not 0 < source_ports[0] <= source_ports[1] < 1 << 16:
            raise ValueError(f"source ports {source_ports[0]}-{source_ports[1]}")
        words = None if control is None else key_words(control)
        self._clock, self._wall = clock, wall
        self._fixed = fixed
        self._on_ended, self._on_conversations = on_ended, on_conversations
        self._puts: deque[HalfOpenArray] = deque()
        self._talks: deque[tuple[bytes, Conversation]] = deque()
        self._resets: deque[HalfOpenArray] = deque()
        self._waiting = self._to_reset = 0  # rows in them
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._ending = threading.Event()
        self._abort = threading.Event()
        self._aborts = self._aborted = 0  # asked for, and done
        self._halt = threading.Event()
        self._dead = threading.Event()
        self._drops = 0
        self._look_at = 0.0
        self.error: Exception | None = None  #: what ended the thread, if something did
        self.behind = False  #: more waits in the ring than one turn takes: who opens connections should wait, too
        chosen = fixed or Fixed()
        self._outlet = Outlet(link, outlet)
        try:
            self._ring = ring.Ring(
                link.interface,
                packet_filter(source_ports),
                vlan=link.vlan,
                link_header=link.link_header,
                retire_ms=RETIRE_MS,
            )
        except OSError:
            self._outlet.close()
            raise
        try:
            self._table = tcp.make(
                capacity,
                self._outlet.frames,
                self._outlet.lengths,
                chunks=chunks,
                payload=chosen.payload,
                wait=chosen.wait,
                first=chosen.first,
                idle=chosen.idle,
                total=chosen.total,
                max_bytes=chosen.max_bytes,
                close=close,
                own_wscale=own_wscale,
                mtu=link.mtu,
                ttl=link.ttl,
                ip_at=self._outlet.ip_at,
                key=randbits(64),
                control=None if words is None else words[0] ^ words[1],
                now=self._now(),
            )
            self._dialogues = Talks(capacity, by_reset=close == "rst", keep_data=keep_data)
            self._rows = np.zeros((ring.MAX_PACKETS, ring.COLUMNS), np.int64)
            self._slots = np.zeros(_TALK_SLICE, np.int64)
            self._compile()
        except BaseException:
            self._release()
            raise

    def _compile(self) -> None:
        """Have every kernel there, so that the first packets do not wait for it."""
        table, nothing = self._table, np.zeros(0, HALFOPEN)
        tcp_talking.open_fixed(table, nothing, 0, self._now(), 0)
        tcp_talking.open_dialogues(table, nothing, self._slots, self._now(), 0)
        tcp_talking.reset_half(table, nothing, 0)
        tcp_talking.obey(table, np.zeros(1, tcp_talking.COMMAND), 0, 0, np.zeros(1, np.uint8), self._now())
        tcp_talking.abort_every(table, 0)
        tcp_input.receive(table, np.zeros(64, np.uint8), self._rows, 0, 0, 0, self._now())
        tcp_timers.tick(table, self._now())

    # -- for the caller, any thread ---------------------------------------------------------------------------------

    @property
    def open(self) -> int:
        """Connections in the table now, those included that only wait for the peer to close."""
        return int(self._table.now[tcp.OPEN])

    @property
    def in_flight(self) -> int:
        """Connections that were taken and are not over."""
        with self._lock:
            return self._waiting + self.open

    @property
    def counters(self) -> dict[str, int]:
        """All that is counted, by name."""
        counts = tcp.counters(self._table)
        counts["ring_drops"] = self._drops
        counts["frames_sent"] = self._outlet.sent
        counts["frames_refused"] = self._outlet.wire.refused
        counts["not_sent"] += self._outlet.left_out
        return counts

    def put(self, half: HalfOpenArray) -> int:
        """Continue connections, the fixed dialogue with each. From any thread; the rows are copied.

        Returns how many of the rows (the first ones) were taken; there is no room for the rest now. Raises ValueError
        when there is no fixed dialogue, or the engine has ended.
        """
        if self._fixed is None:
            raise ValueError("this continuation has no fixed dialogue")
        self._check_open()
        with self._lock:
            count = max(min(len(half), MAX_WAITING - self._waiting), 0)
            if count:
                self._puts.append(half[:count].astype(HALFOPEN))
                self._waiting += count
        self._wake.set()
        return count

    def talk(self, half: Any, dialogue: Dialogue, tag: object, *, max_bytes: int) -> bool:
        """Continue one connection (a row of HALFOPEN) with a dialogue, called on the engine's thread. From any thread.

        False: there is no room now. Raises ValueError when the engine has ended.
        """
        return bool(self.talk_all(np.asarray([half], HALFOPEN), [dialogue], [tag], max_bytes=max_bytes))

    def talk_all(
        self, half: HalfOpenArray, dialogues: Sequence[Dialogue], tags: Sequence[object], *, max_bytes: int
    ) -> int:
        """`talk` with as many as there are rows; returns how many of them (the first ones) were taken."""
        self._check_open()
        made = conversations_of(half, dialogues, tags, max_bytes)
        with self._lock:
            count = max(min(len(half), MAX_WAITING - self._waiting), 0)
            self._talks.extend(made[:count])
            self._waiting += count
        if count:
            self._wake.set()
        return count

    def reset(self, half: HalfOpenArray) -> int:
        """End half-open connections that nobody continues, by RST. From any thread; returns how many were taken."""
        self._check_open()
        with self._lock:
            count = max(min(len(half), MAX_RESETS - self._to_reset), 0)
            if count:
                self._resets.append(half[:count].astype(HALFOPEN))
                self._to_reset += count
        self._wake.set()
        return count

    def abort_all(self) -> None:
        """Reset everything in flight and hand nothing of it over, soon. From any thread."""
        self._aborts += 1
        self._abort.set()
        self._wake.set()

    @property
    def aborting(self) -> bool:
        """`abort_all` is not done yet: what is put now is aborted with the rest."""
        return self._aborted != self._aborts

    def finish(self) -> None:
        """Nothing more comes: the thread ends once the last connection has."""
        self._ending.set()
        self._wake.set()

    def close(self, timeout: float = 0.0) -> None:
        """`finish`, and wait so long for the thread; then what is left is reset. Idempotent."""
        self.finish()
        if self.ident is None:
            self._release()
            return
        self.join(timeout)
        if self.is_alive():
            self._halt.set()
            self.abort_all()
            self.join()

    def _check_open(self) -> None:
        if self._dead.is_set():
            raise ValueError("the continuation has ended") from self.error

    # -- the thread -------------------------------------------------------------------------------------------------

    def _now(self) -> int:
        return int(self._clock() * _MICROSECONDS)

    def run(self) -> None:
        try:
            while not (self._ending.is_set() and not self.in_flight and not self._to_reset):
                self._turn()
                if self._halt.is_set():
                    return
        except OSError as error:
            self.error = error
            log.warning("connections are not continued any more: %s", error.strerror or error)
        except Exception as error:  # whoever waits for what is in flight must hear of it
            self.error = error
            log.exception("connections are not continued any more")
        finally:
            self.behind = False
            self._dead.set()
            self._release()

    def _turn(self) -> None:
        if self._abort.is_set():
            self._abort.clear()
            asked = self._aborts
            self._abort_now()
            self._aborted = asked
        self._open_waiting()
        # While something waits to be opened the ring is only looked at.
        busy = self._has_slot() if self._waiting else self._to_reset
        block = self._ring.wait(0 if busy else WAIT_MS if self.open else _IDLE_MS)
        for number in range(_BLOCKS_A_TURN):
            if block is None:
                break
            self.behind = number >= _KEEPING_UP
            self._read(block)
            block = self._ring.wait(0)
        self.behind = block is not None
        now = self._now()
        while not tcp_timers.tick(self._table, now):
            self._hand_over(now)
        self._hand_over(now)
        if (seconds := self._clock()) >= self._look_at:
            self._look_at = seconds + _LOOK_S
            self._drops = self._ring.count_drops()

    def _read(self, block: Any) -> None:
        _, count = ring.packets(block, self._rows)
        now = self._now()
        behind = int(self._wall() * _MICROSECONDS) - now
        done = 0
        while done < count:
            done = tcp_input.receive(self._table, block, self._rows, done, count, behind, now)
            self._hand_over(now)
        self._ring.release()

    def _open_waiting(self) -> None:
        if not self._waiting and not self._to_reset:
            return
        now = self._now()
        wall = int(self._wall() * _MICROSECONDS)
        opened = 0
        while self._puts and opened < _PUT_SLICE:
            half = self._puts[0]
            done = tcp_talking.open_fixed(self._table, half, 0, now, wall)
            with self._lock:
                self._waiting -= done
                if done == len(half):
                    self._puts.popleft()
                else:
                    self._puts[0] = half[done:]
            opened += done
            self._hand_over(now)
            if done < len(half) and not self._has_slot():
                break
        if self._talks and self._has_slot():
            self._begin_talks(now, wall)
        if not self._waiting:
            # A SYN-ACK that came twice may be of a connection that still waits: the table has to know it first.
            self._reset_waiting()

    def _has_slot(self) -> bool:
        return self.open < self._table.connections.size

    def _begin_talks(self, now: int, wall: int) -> None:
        count = min(len(self._talks), _TALK_SLICE, self._table.connections.size - self.open)
        with self._lock:
            taken = [self._talks.popleft() for _ in range(count)]
        half = np.frombuffer(bytearray().join(row for row, _ in taken), HALFOPEN)
        done = tcp_talking.open_dialogues(self._table, half, self._slots, now, wall)
        with self._lock:
            self._talks.extendleft(reversed(taken[done:]))
            self._waiting -= done
        made = [conversation for _, conversation in taken[:done]]
        self._dialogues.begin(self._table, half[:done], self._slots[:done].tolist(), made, now)
        self._hand_over(now)

    def _reset_waiting(self) -> None:
        while self._resets:
            with self._lock:
                half = self._resets.popleft()
            done = 0
            while done < len(half):
                done = tcp_talking.reset_half(self._table, half, done)
                self._send()
            with self._lock:
                self._to_reset -= len(half)

    def _hand_over(self, now: int) -> None:
        """Take away what the kernels wrote, until there is nothing more."""
        numbers = self._table.now
        self._send()
        if numbers[tcp.ENDINGS]:
            rows = self._table.endings[: numbers[tcp.ENDINGS]].copy()
            data = self._table.kept[: numbers[tcp.KEPT]].tobytes()
            numbers[tcp.ENDINGS] = numbers[tcp.KEPT] = 0
            if self._on_ended is not None:
                self._on_ended(Ended(rows, data))
        dialogues = self._dialogues
        if numbers[tcp.EVENTS]:
            dialogues.handle(self._table, int(numbers[tcp.EVENTS]), now)
            numbers[tcp.EVENTS] = numbers[tcp.HEARD] = 0
        if dialogues.wishes:
            commands, words = dialogues.take_commands()
            done = 0
            while done < len(commands):
                done = tcp_talking.obey(self._table, commands, done, len(commands), words, now)
                self._send()
                if numbers[tcp.EVENTS]:  # no room for what one said
                    dialogues.handle(self._table, int(numbers[tcp.EVENTS]), now)
                    numbers[tcp.EVENTS] = numbers[tcp.HEARD] = 0
            if dialogues.wishes:
                self._hand_over(now)
                return
        if dialogues.ended:
            ended = dialogues.take_ended()
            if self._on_conversations is not None:
                self._on_conversations(ended)

    def _send(self) -> None:
        count = int(self._table.now[tcp.FRAMES])
        if count:
            self._outlet.send(count)
            self._table.now[tcp.FRAMES] = 0
            self._table = self._table._replace(frames=self._outlet.frames)

    def _abort_now(self) -> None:
        with self._lock:
            puts, talks = list(self._puts), list(self._talks)
            self._puts.clear()
            self._talks.clear()
            self._waiting = 0
        self._dialogues.forget()
        slot, top = 0, int(self._table.now[tcp.TOP_SLOT])
        while slot < top:
            slot = tcp_talking.abort_every(self._table, slot)
            self._send()
        for half in [*puts, np.frombuffer(bytearray().join(row for row, _ in talks), HALFOPEN)]:
            done = 0
            while done < len(half):
                done = tcp_talking.reset_half(self._table, half, done)
                self._send()
        numbers = self._table.now
        numbers[tcp.ENDINGS] = numbers[tcp.KEPT] = numbers[tcp.EVENTS] = numbers[tcp.HEARD] = 0

    def _release(self) -> None:
        self._outlet.close()
        self._ring.close()
