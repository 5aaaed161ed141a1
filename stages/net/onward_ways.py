"""The two ways on with a half-open connection for one who reads hits: `raw` and `adopt` (`stages.net.onward`).

Both hold the scanner's lease, which covers the hit's own address and port. `raw` needs a quieter kernel than the
scanner did: a lease of its own on every TCP packet to the same addresses and ports. A scanner that holds nothing (ZMap)
is helped by a lease that is taken before it begins: `held`.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import math
import socket
import struct
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from ipaddress import IPv4Address
from typing import Any, Final, Literal

import numpy as np

from stages.net import path
from stages.net.adopting import BATCH, Adopter
from stages.net.continuation import Continuation, Fixed, Link
from stages.net.conversation import Conversation
from stages.net.dialing import Dialer
from stages.net.ended import Ended, OnEnded, conversation_of, plain
from stages.net.firewall import Lease
from stages.net.halfopen import HALFOPEN, HalfOpenArray, row_of
from stages.net.onward import LOOK, Waiting
from stages.net.spans import Spans

log = logging.getLogger("longline.net.onward")

_MICROSECONDS: Final = 1_000_000
#: struct linger: on, 0 seconds; close(2) then sends RST (socket(7)).
_LINGER_RESET: Final = struct.pack("ii", 1, 0)
#: Seconds that the last connections have to be reset in.
_CLOSE_S: Final = 5.0


class _Held:
    """The leases of a way."""

    def __init__(self, held: Lease | None) -> None:
        self._leases: list[Lease] = [] if held is None else [held]

    def hold(self, half: Any) -> Lease:
        """The lease that covers this connection, ours from before or the scanner's. Raises NoLease."""
        address, port = str(IPv4Address(int(half["ours"]))), int(half["own_port"])
        for lease in self._leases:
            if lease.covers(address, port):
                return lease
        self._leases.append(Lease.join(address, port))
        return self._leases[-1]

    def add(self, lease: Lease) -> None:
        self._leases.append(lease)

    def covers(self, address: str, port: int) -> bool:
        return any(lease.covers(address, port) for lease in self._leases)

    def renew(self) -> None:
        for lease in self._leases:
            lease.renew()

    def release(self) -> None:
        for lease in self._leases:
            lease.release()


class Raw:
    """User-space TCP."""

    name = "raw"

    def __init__(
        self,
        *,
        capacity: int,
        close: Literal["fin", "rst"],
        control: bytes | None,
        keep_data: bool,
        held: Lease | None = None,
        fixed: Fixed | None = None,
        on_ended: OnEnded | None = None,
    ) -> None:
        """`capacity`: connections at once. `control`: a key of 16 bytes where control ports are asked. `held`: a lease
        that was taken before. `fixed`: the dialogue of all hits, then it is compiled, and `on_ended` gets those that
        ended plainly."""
        self._held = _Held(held)
        self._options: dict[str, Any] = {
            "capacity": capacity, "control": control, "keep_data": keep_data, "fixed": fixed,
        }  # fmt: skip
        self._capacity = capacity
        self._on_ended = on_ended if fixed is not None else None
        self._fresh: list[Waiting] = []  #: for the compiled dialogue, in this turn of the loop
        self._tagged: dict[int, Waiting] = {}  #: put, by the tag of their row
        self._talking: dict[int, Waiting] = {}  #: with dialogues that are objects, by the id of their tag
        self._next_tag = 0
        self._compiled: deque[Ended] = deque()
        self._close: Literal["fin", "rst"] = close
        self._asks = control is not None
        self._engine: Continuation | None = None
        self._ended: deque[list[Conversation]] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._on_end: Callable[[list[Conversation]], None] = lambda _: None

    def open(self, half: Any, wscale: int) -> None:
        try:
            lease = self._held.hold(half)
            peer = int(half["peer"])
            way = path.find(Spans.of(((peer, peer),)), source=int(half["ours"]))
            link = Link(
                way.interface, way.source_mac, None if way.near else way.target_mac, way.vlan, way.ethernet, mtu=way.mtu
            )
            self._engine = Continuation(
                link,
                lease.rule.ports,
                close=self._close,
                own_wscale=wscale,
                on_conversations=self._collect,
                on_ended=self._collect_compiled,
                **self._options,
            )
            self._held.renew()
            self._held.add(Lease.take(lease.rule.addresses, lease.rule.ports, what="tcp"))
        except BaseException:
            self.close()
            raise

    def start(
        self,
        loop: asyncio.AbstractEventLoop,
        on_end: Callable[[list[Conversation]], None],
        on_refused: Callable[[list[Waiting], OSError], None],
    ) -> None:
        self._loop, self._on_end = loop, on_end
        assert self._engine is not None
        self._engine.start()

    def covers(self, address: str, port: int) -> bool:
        return self._held.covers(address, port)

    def talk(self, waiting: Waiting) -> bool:
        engine = self._engine
        assert engine is not None
        if engine.error is not None:
            return False  # it has ended: `renew` will say so
        if engine.aborting:
            return False  # it would be aborted, too
        if self._on_ended is None:
            if engine.in_flight >= self._capacity:
                return False
            taken = engine.talk(row_of(waiting.half), waiting.dialogue, waiting.tag, max_bytes=waiting.max_bytes)
            if taken:
                self._talking[id(waiting.tag)] = waiting
            return taken
        if len(self._tagged) + len(self._fresh) >= self._capacity:
            return False
        if not self._fresh:
            assert self._loop is not None
            self._loop.call_soon(self._put_all)
        self._fresh.append(waiting)
        return True

    def _put_all(self) -> None:
        """What came in a turn of the loop, in one piece."""
        batch, self._fresh = self._fresh, []
        assert self._engine is not None
        if not batch or self._engine.error is not None:
            return
        if self._engine.aborting:
            self._fresh = batch
            assert self._loop is not None
            self._loop.call_later(LOOK, self._put_all)
            return
        half = np.frombuffer(bytearray().join([waiting.half for waiting in batch]), HALFOPEN)
        tags = range(self._next_tag, self._next_tag + len(batch))
        half["tag"] = tags
        self._tagged.update(zip(tags, batch, strict=True))
        taken = self._engine.put(half)
        self._next_tag += taken
        for tag in tags[taken:]:
            self._fresh.append(self._tagged.pop(tag))
        if self._fresh:
            assert self._loop is not None
            self._loop.call_later(LOOK, self._put_all)

    def reset(self, half: HalfOpenArray) -> None:
        assert self._engine is not None
        self._engine.reset(half)

    def renew(self) -> None:
        if self._engine is not None and self._engine.error is not None:
            raise OSError(errno.EIO, f"user-space TCP has ended: {self._engine.error}") from self._engine.error
        self._held.renew()

    @property
    def in_flight(self) -> int:
        return 0 if self._engine is None else self._engine.in_flight + len(self._fresh)

    def abort_all(self) -> None:
        self._ended.clear()
        self._compiled.clear()
        self._fresh.clear()
        self._tagged.clear()
        self._talking.clear()
        if self._engine is not None:
            self._engine.abort_all()

    def abandon(self) -> list[Waiting]:
        left = [*self._tagged.values(), *self._fresh, *self._talking.values()]
        self.abort_all()
        return left

    def recall(self, which: Callable[[Any], bool]) -> list[Any]:
        """The engine ends all or none."""
        mine = (*self._tagged.values(), *self._fresh, *self._talking.values())
        return [waiting.tag for waiting in self.abandon()] if any(which(waiting.tag) for waiting in mine) else []

    def close(self) -> None:
        if self._engine is not None:
            self._engine.abort_all()
            self._engine.close(_CLOSE_S)
        self._held.release()

    def _collect(self, conversations: list[Conversation]) -> None:
        """On the engine's thread."""
        self._ended.append(conversations)
        self._call()

    def _collect_compiled(self, ended: Ended) -> None:
        """On the engine's thread."""
        self._compiled.append(ended)
        self._call()

    def _call(self) -> None:
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(self._hand_over)
        except RuntimeError:
            log.debug("conversations ended after the loop")

    def _hand_over(self) -> None:
        while self._ended:
            ended = self._ended.popleft()  # of some that were aborted meanwhile nobody wants to hear
            conversations = [each for each in ended if self._talking.pop(id(each.tag), None) is not None]
            self._on_end(conversations)
        while self._compiled:
            self._name(self._compiled.popleft())

    def _name(self, ended: Ended) -> None:
        """Give connections of the compiled dialogue back to those whose they are."""
        assert self._on_ended is not None
        mine = self._tagged
        found = [mine.pop(tag, None) for tag in ended.rows["tag"].tolist()]
        waited = [waiting for waiting in found if waiting is not None]
        if len(waited) < len(found):  # some were aborted while the engine handed them over
            ended = ended.part([waiting is not None for waiting in found])
        if not waited:
            return
        plainly = plain(ended.rows)
        if plainly.all():
            self._on_ended(ended, [waiting.tag for waiting in waited], self._asks)
            return
        if plainly.any():
            tags = [waited[at].tag for at in plainly.nonzero()[0].tolist()]
            self._on_ended(ended.part(plainly), tags, self._asks)
        self._on_end([
            conversation_of(ended, at, waited[at].dialogue, waited[at].tag, asked=self._asks)
            for at in (~plainly).nonzero()[0].tolist()
        ])  # fmt: skip


class Adopt:
    """Sockets of the kernel, which a Dialer takes up."""

    name = "adopt"

    def __init__(self, dialer: Dialer, *, capacity: int, held: Lease | None = None) -> None:
        self._held = _Held(held)
        self._dialer = dialer
        self._capacity = capacity
        self._wscale = -1
        self._adopter: Adopter | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._on_refused: Callable[[list[Waiting], OSError], None] = lambda batch, error: None
        #: Each with its row; those of which no more is wanted than their end are None.
        self._waiting: deque[tuple[Any, Waiting | None]] = deque()
        self._asked: deque[list[tuple[Any, Waiting | None]]] = deque()
        self._sending: asyncio.Handle | None = None

    def open(self, half: Any, wscale: int) -> None:
        self._wscale = wscale
        try:
            self._held.hold(half)
            self._adopter = Adopter()
        except BaseException:
            self._held.release()
            raise

    def start(
        self,
        loop: asyncio.AbstractEventLoop,
        on_end: Callable[[list[Conversation]], None],
        on_refused: Callable[[list[Waiting], OSError], None],
    ) -> None:
        self._loop, self._on_refused = loop, on_refused
        assert self._adopter is not None
        loop.add_reader(self._adopter.fileno(), self._collect)

    def covers(self, address: str, port: int) -> bool:
        return self._held.covers(address, port)

    def talk(self, waiting: Waiting) -> bool:
        if self.in_flight + self._dialer.in_flight >= self._capacity:
            return False
        self._queue(row_of(waiting.half), waiting)
        return True

    def reset(self, half: HalfOpenArray) -> None:
        """A socket that is closed at once with a RST."""
        for row in half:
            self._queue(row, None)

    def _queue(self, half: Any, waiting: Waiting | None) -> None:
        self._waiting.append((half, waiting))
        if self._sending is None:
            assert self._loop is not None
            self._sending = self._loop.call_soon(self._send)

    def _send(self) -> None:
        """One batch is asked for at a time, the rest gathers meanwhile."""
        self._sending = None
        assert self._adopter is not None
        if self._asked or not self._waiting:
            return
        batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), BATCH))]
        self._asked.append(batch)
        try:
            self._adopter.submit([half for half, _ in batch], own_wscale=self._wscale)
        except OSError as error:
            self._asked.pop()
            self._failed(batch, error)

    def _collect(self) -> None:
        assert self._adopter is not None
        try:
            answers = self._adopter.collect()
        except OSError as error:
            assert self._loop is not None
            self._loop.remove_reader(self._adopter.fileno())
            while self._asked:
                self._failed(self._asked.popleft(), error)
            return
        if answers is None:
            return
        for (half, waiting), answer in zip(self._asked.popleft(), answers, strict=True):
            if isinstance(answer, OSError):
                self._failed([(half, waiting)], answer)
            elif waiting is None:
                answer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RESET)
                answer.close()
            else:
                rtt = float(half["rtt"])
                rtt = 0.0 if math.isnan(rtt) else rtt
                self._dialer.adopt(
                    answer,
                    waiting.hit.ip,
                    waiting.hit.port,
                    waiting.dialogue,
                    waiting.tag,
                    started=int(half["ts"]) - int(rtt * _MICROSECONDS),
                    connected=rtt,
                    max_bytes=waiting.max_bytes,
                )
        if self._waiting:
            self._send()

    def _failed(self, batch: list[tuple[Any, Waiting | None]], error: OSError) -> None:
        """No socket: the kernel has such a connection, or the peer's segments are too small for it."""
        self._on_refused([waiting for _, waiting in batch if waiting is not None], error)

    def renew(self) -> None:
        self._held.renew()

    @property
    def in_flight(self) -> int:
        return len(self._waiting) + sum(map(len, self._asked))

    def abandon(self) -> list[Waiting]:
        left = [waiting for batch in (self._waiting, *self._asked) for _, waiting in batch if waiting is not None]
        self.abort_all()
        return left

    def recall(self, which: Callable[[Any], bool]) -> list[Any]:
        tags = []

        def left(batch: Iterable[tuple[Any, Waiting | None]]) -> Iterator[tuple[Any, Waiting | None]]:
            for half, each in batch:
                gone = each is not None and which(each.tag)
                if each is not None and gone:
                    tags.append(each.tag)
                yield half, None if gone else each

        self._waiting = deque(left(self._waiting))  # of those that are gone a socket is made, to be closed by RST
        self._asked = deque(list(left(batch)) for batch in self._asked)
        return tags

    def abort_all(self) -> None:
        """What is asked for comes all the same, and is closed."""
        self._waiting.clear()
        self._asked = deque([(half, None) for half, _ in batch] for batch in self._asked)

    def close(self) -> None:
        if self._adopter is not None:
            self._adopter.close()
        self._held.release()
