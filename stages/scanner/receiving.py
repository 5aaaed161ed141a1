"""The receive side of a scan: one thread, or several that share what arrives (PACKET_FANOUT, packet(7)).

Each thread has a ring of its own; the kernel gives all packets of one connection to the same ring. What the threads
share (who has answered already, those who take the answers) is behind one lock, a block at a time, so that an answer is
marked a repeat if and only if another one was delivered before it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol

from stages.net.ring import Ring
from stages.scanner.receiver import Receiver, Tally


class Make(Protocol):
    """Makes the thread of one ring."""

    def __call__(self, ring: Ring, *, lock: threading.Lock) -> Receiver: ...


class Receivers:
    """Looks like one `Receiver` to the engine. `ring.close` is called by `close`, once the threads have ended."""

    def __init__(self, threads: int, open_ring: Callable[[], Ring], make: Make) -> None:
        """Raises what `open_ring` raises, and OSError where the kernel has no fanout; nothing stays open then."""
        lock = threading.Lock()
        self._rings: list[Ring] = []
        self._receivers: list[Receiver] = []
        group: int | None = None
        try:
            for _ in range(threads):
                self._rings.append(open_ring())
                if threads > 1:
                    group = self._rings[-1].fan_out(group)
                self._receivers.append(make(self._rings[-1], lock=lock))
        except BaseException:
            self.close()
            raise

    def warm_up(self) -> None:
        for receiver in self._receivers:
            receiver.warm_up()

    def start(self) -> None:
        for receiver in self._receivers:
            receiver.start()

    @property
    def ident(self) -> int | None:
        """None until it was started, as of a thread."""
        return self._receivers[0].ident

    def is_alive(self) -> bool:
        return any(receiver.is_alive() for receiver in self._receivers)

    def join(self, timeout: float | None = None) -> None:
        end = None if timeout is None else time.monotonic() + timeout
        for receiver in self._receivers:
            receiver.join(None if end is None else max(end - time.monotonic(), 0.0))

    @property
    def error(self) -> BaseException | None:
        return next((receiver.error for receiver in self._receivers if receiver.error is not None), None)

    @property
    def tally(self) -> Tally:
        """The sum of all threads."""
        every = [receiver.tally for receiver in self._receivers]
        return Tally(
            received=sum(tally.received for tally in every),
            validated=sum(tally.validated for tally in every),
            duplicates=sum(tally.duplicates for tally in every),
            drops=sum(tally.drops for tally in every),
        )

    def close(self) -> None:
        """Idempotent."""
        for ring in self._rings:
            ring.close()
        self._rings = []
