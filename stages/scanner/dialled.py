"""Hits that cannot be continued here, dialled anew: the way out where the kernel cannot be kept quiet, or where the
scan itself was done by ordinary connections.

The same dialogues, by `stages.net.dialing`, in the loop; records say `via: connect`. It takes hits only as fast as
there is room, so that the delivery fills up behind it, and sending pauses.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from stages.core.connecting import connect_timeout
from stages.core.records import prefix_key
from stages.net.dialing import Dialer
from stages.scanner.hits import HitSource, hit_of
from stages.scanner.rows import Answer, address_text
from stages.scanner.said import Grabbing, Left, Said, Talked

if TYPE_CHECKING:
    from stages.net.conversation import Conversation

#: Seconds to connect, at least: one lost SYN is survived.
_LOWEST: Final = 2.0


class Dialled:
    """Belongs to the loop in which it was made."""

    def __init__(
        self,
        grabbing: Grabbing,
        source: HitSource,
        say: Callable[[Said], None],
        *,
        capacity: int,
        blocked: Callable[[str], bool],
    ) -> None:
        """`capacity`: connections at once. Raises OSError: no descriptor."""
        self._grabbing = grabbing
        self._say = say
        self._hit = partial(hit_of, source=source)
        self._blocked = blocked
        self._capacity = capacity
        # What the scan has not used of the SYNs that a target may be sent.
        self._syns = None if grabbing.syns is None else grabbing.syns - source.syns
        self._changed = asyncio.Event()
        self._aborted = False
        self._dialer = Dialer(self._ended, keep_data=grabbing.keep_data)

    @property
    def open(self) -> int:
        return self._dialer.open

    async def take(self, answers: Sequence[Answer]) -> None:
        """Dial these; returns when the last one is begun. Raises ConfinedError."""
        grabbing = self._grabbing
        for answer in answers:
            host = address_text(answer.address)
            if self._blocked(host):
                self._say(Left([answer.position]))
                continue
            hit = self._hit(answer)
            if self._syns is not None and self._syns <= 0:
                line = grabbing.expired(hit, time.time_ns() // 1_000)
                self._say(Left([answer.position], [(prefix_key(host), line)]))
                continue
            await self._until(lambda: self._dialer.in_flight < self._capacity)
            if self._aborted:
                return
            self._dialer.dial(
                host,
                answer.port,
                grabbing.begin(host, answer.port),
                answer,
                connect_timeout=connect_timeout(hit.rtt, _LOWEST, grabbing.connect_timeout),
                max_bytes=grabbing.max_bytes,
                syns=self._syns,
            )

    def abort(self) -> None:
        """Drop all that is under way; what is taken from now on is left."""
        self._aborted = True
        self._dialer.recall(lambda tag: True)
        self._changed.set()

    async def drained(self) -> None:
        """Until all that was dialled has ended."""
        await self._until(lambda: not self._dialer.in_flight)

    async def close(self) -> None:
        await self._dialer.close()

    async def _until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            self._changed.clear()
            await self._changed.wait()

    def _ended(self, conversations: list[Conversation]) -> None:
        self._say(Talked(conversations, self._grabbing, self._hit))
        self._changed.set()
