"""Sending: threads that claim batches of positions (`stages.scanner.claims`), have frames made of them, and send."""

from __future__ import annotations

import errno
import threading
import time
from typing import Final, Protocol

from stages.net.packetsocket import Wire, interface_error
from stages.scanner.claims import Claims

#: A full transmit queue empties within microseconds to milliseconds: the wait doubles between these.
_BACKOFF_MIN_S: Final = 50e-6
_BACKOFF_MAX_S: Final = 5e-3
#: A driver sends what it has taken within milliseconds; one that does not tell is not waited for longer.
_DRAIN_S: Final = 1.0

_RETRIED: Final = frozenset({errno.ENOBUFS, errno.EAGAIN, errno.EINTR, errno.ENOMEM})


class Rows(Protocol):
    """Makes frames (`frames.FrameBuilder`)."""

    def fill(self, first: int, count: int, milliseconds: int = 0, attempt: int = 0, block: int = 0) -> int: ...


class SendFailed(OSError):
    """Sending failed for good: the interface went away, or --max-sendto-failures was exceeded."""


class Sender(threading.Thread):
    """One sender thread: claim, fill, send; retry what the kernel did not take."""

    def __init__(self, number: int, claims: Claims, rows: Rows, wire: Wire, interface: str, max_failures: int) -> None:
        """`max_failures`: so many failed calls are borne (-1: any number)."""
        super().__init__(name=f"send-{number}", daemon=True)
        self._claims = claims
        self._rows = rows
        self._wire = wire
        self._interface = interface
        self._max_failures = max_failures
        self.sent = 0
        self.failures = 0
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            while (claim := self._claims.take()) is not None:
                while (block := self._wire.free()) < 0:
                    if self._claims.wait_stopped(_BACKOFF_MIN_S):
                        return
                rows = self._rows.fill(claim.first, claim.count, time.time_ns() // 1_000_000, claim.attempt, block)
                self._claims.sending(claim, rows)
                if not self._send(rows):
                    return  # stopped while the queue was full: the claim stays unfinished, the position before it
                self._claims.finished(claim, rows)
            self._drain()
        except BaseException as error:
            self.error = error
            self._claims.stop()

    def _drain(self) -> None:
        """What a driver took but has not sent yet would go with the socket."""
        end = time.monotonic() + _DRAIN_S
        while not self._wire.drain() and time.monotonic() < end:
            time.sleep(_BACKOFF_MIN_S)

    def _send(self, rows: int) -> bool:
        done, backoff = 0, _BACKOFF_MIN_S
        while done < rows:
            sent, number = self._wire.send(done, rows - done)
            done += sent
            self.sent += sent
            if sent:
                backoff = _BACKOFF_MIN_S
            if number:
                self.failures += 1
                self._judge(number)
                if self._claims.wait_stopped(backoff):
                    return False
                backoff = min(backoff * 2, _BACKOFF_MAX_S)
        return True

    def _judge(self, number: int) -> None:
        if number not in _RETRIED:
            error = interface_error(number, self._interface)
            raise SendFailed(error.errno, error.strerror) from error
        if 0 <= self._max_failures < self.failures:
            raise SendFailed(number, f"{self.failures} send calls failed on {self._interface}")
