"""The scan goes on with what it opened: validated SYN-ACKs become half-open connections of the engine of `stages.net`.

    answers (receive thread) --> first SYN-ACK of a target --> HALFOPEN --> Continuation --> Said --> delivery
                                 every other one           --> reset
                                 no result (a filter)      --> reset
                                 no room                   --> reset, and its hit says no more than that it is open

The kernel is kept quiet meanwhile (`stages.net.firewall`), so whatever is not continued is reset from here. A target
that answers several of its probes has opened several connections; one is continued. A SYN-ACK that comes again belongs
to a connection that the engine may have: it knows, and resets what it has not.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from stages.net import headers
from stages.net.continuation import Continuation, Link
from stages.net.halfopen import HALFOPEN, HalfOpenArray
from stages.scanner.answers import SYNACK, AnswerArray
from stages.scanner.hits import HitSource, hit_of
from stages.scanner.rows import address_text, rows
from stages.scanner.said import Compiled, Grabbing, Left, Said, Talked

if TYPE_CHECKING:
    from stages.net.conversation import Conversation
    from stages.net.ended import Ended
    from stages.scanner.filters import Filter

log = logging.getLogger("longline.scanner.continuing")

#: Columns of HALFOPEN, and of ANSWER where they come from.
_COLUMNS: Final = {
    "peer": "address", "ours": "daddr", "peer_port": "port", "own_port": "dport", "seq": "seq", "ack": "ack",
    "window": "window", "mss": "mss", "wscale": "wscale", "sack": "sack", "has_ts": "has_ts", "ts_val": "ts_val",
    "ts_ecr": "ts_ecr", "ts": "ts", "rtt": "rtt", "tag": "position",
}  # fmt: skip

_TCP: Final = headers.ETHERNET_BYTES + headers.IPV4_BYTES
_WSCALE_BYTES: Final = 3


def half_open(answers: AnswerArray) -> HalfOpenArray:
    """SYN-ACKs as half-open connections; the tag is the position. Column by column, no Python for a row."""
    out = np.empty(len(answers), HALFOPEN)
    for name, column in _COLUMNS.items():
        out[name] = answers[column]
    return out


def own_wscale(frame: bytes) -> int:
    """The window scale that a SYN's template offers (RFC 7323 2.2); -1: none."""
    at, end = _TCP + headers.TCP_BYTES, _TCP + (frame[_TCP + 12] >> 4) * 4
    while at < end and frame[at] != headers.OPTION_END:
        if frame[at] == headers.OPTION_NOP:
            at += 1
            continue
        if frame[at] == headers.OPTION_WSCALE and frame[at + 1] == _WSCALE_BYTES:
            return frame[at + 2]
        at += max(frame[at + 1], 2)
    return -1


class Continuing:
    """See the module's docstring. `put` is for the receive threads, which take turns; the rest for who opened it."""

    def __init__(
        self,
        grabbing: Grabbing,
        source: HitSource,
        link: Link,
        source_ports: tuple[int, int],
        *,
        wscale: int,
        secret: bytes,
        say: Callable[[Said], None],
        wanted: Filter | None = None,
    ) -> None:
        """`say` takes what has ended, on the engine's thread. `secret`: of the scan; control ports are drawn from it.
        `wanted`: which answers are results, the others are reset; None: all.

        Raises NoRawAccess, ConfinedError, OSError."""
        self._grabbing = grabbing
        self._say = say
        self._wanted = None if wanted is None or wanted.everything else wanted
        self._hit = partial(hit_of, source=source, prober=False)
        self._plain = None if grabbing.plain is None else grabbing.plain(source)
        self._render = None if grabbing.render is None else grabbing.render(source)
        self._engine = Continuation(
            link,
            source_ports,
            fixed=None if self._render is None else grabbing.fixed,
            close=grabbing.close,
            capacity=grabbing.capacity,
            own_wscale=wscale,
            control=secret if grabbing.control else None,
            on_ended=self._ended,
            on_conversations=self._talked,
            keep_data=grabbing.keep_data,
        )
        self.taken = 0  #: connections that were continued
        self.refused = 0  #: for which there was no room
        self._told = False
        self._aborted = False
        self.not_reset = 0  #: of those not continued, left to the servers

    def put(self, answers: AnswerArray) -> None:
        """Validated answers; the array is only read."""
        synacks = answers[answers["kind"] == SYNACK]
        if not synacks.size:
            return
        if self._aborted:
            self._engine.reset(half_open(synacks))
            return
        again = synacks["repeat"].astype(bool)
        chosen = np.ones(len(synacks), np.bool_) if self._wanted is None else self._wanted.mask(synacks)
        first = synacks[~again & chosen]
        taken = self._put(first) if first.size else 0
        self.taken += taken
        left = first[taken:]
        self.refused += left.size
        passed_over = np.concatenate([left, synacks[~again & ~chosen]])
        if passed_over.size:
            self._say(Left(passed_over["position"].tolist()))
        others = np.concatenate([passed_over, synacks[again]])
        if others.size:
            self.not_reset += others.size - self._engine.reset(half_open(others))

    def _put(self, answers: AnswerArray) -> int:
        """Returns how many were taken: as many as are begun at once, so that none is the older for its waiting."""
        answers = answers[: max(self._grabbing.capacity - self._engine.in_flight, 0)]
        half = half_open(answers)
        if self._render is not None:
            return self._engine.put(half)
        begin, tags = self._grabbing.begin, rows(answers)
        dialogues = [begin(address_text(answer.address), answer.port) for answer in tags]
        return self._engine.talk_all(half, dialogues, tags, max_bytes=self._grabbing.max_bytes)

    def _ended(self, ended: Ended) -> None:
        """On the engine's thread."""
        assert self._render is not None
        self._say(Compiled(ended, self._render))

    def _talked(self, conversations: list[Conversation]) -> None:
        """On the engine's thread."""
        self._say(Talked(conversations, self._grabbing, self._hit, self._plain))

    # -- its life ---------------------------------------------------------------------------------------------------

    def start(self) -> None:
        self._engine.start()

    def finish(self) -> None:
        """Nothing more is put: it ends with the last conversation."""
        self._engine.finish()

    def abort(self) -> None:
        """Reset all that is under way and all that is put from now on; nothing is said of them. From any thread."""
        self._aborted = True
        self._engine.abort_all()

    @property
    def alive(self) -> bool:
        return self._engine.ident is not None and self._engine.is_alive()

    def behind(self) -> bool:
        """The conversations do not keep up: no more should be begun now. Said once. For the sender threads."""
        behind = self._engine.behind
        if behind and not self._told:
            self._told = True
            log.info("sending waits at times for the conversations, which are slower than the rate")
        return behind

    @property
    def open(self) -> int:
        return self._engine.in_flight

    @property
    def error(self) -> Exception | None:
        return self._engine.error

    @property
    def counters(self) -> dict[str, Any]:
        return {**self._engine.counters, "refused": self.refused, "not_reset": self.not_reset}

    def close(self, timeout: float = 0.0) -> None:
        """Wait so long for the last conversations; what is left is reset. Idempotent."""
        self._engine.close(timeout)
