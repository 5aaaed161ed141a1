"""The two threads of `longline tee`: one copies standard input into the file, one reads the file after it and passes
addresses on. The file is the buffer between them."""

from __future__ import annotations

import logging
import os
import signal
import stat
import threading
import time
from types import FrameType
from typing import Final, TextIO

from stages.core.errors import HostError, UsageError
from stages.scanner.side_file import SideFile
from stages.scanner.tee import Rows

log = logging.getLogger("longline.cli.tee")

#: Bytes of one read or write.
CHUNK: Final = 1 << 16

STATUS_SECONDS: Final = 1.0
HEADER: Final = "real-time,time-elapsed,total-read,read-last-one-sec,total-passed,passed-last-one-sec,buffered-bytes\n"

_EXIT_INTERRUPTED: Final = 128 + signal.SIGINT


class Tee:
    """Made for one run."""

    def __init__(self, name: str, rows: Rows, *, status: str | None = None, monitor: TextIO | None = None) -> None:
        """Opens the files, and changes nothing in them. Raises UsageError."""
        self._name = name
        self._rows = rows
        self._status = None if status is None else SideFile("-u/--status-updates-file", status)
        self._monitor = monitor
        try:
            self._writer = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
            self._reader = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise UsageError("FILE", name, f"cannot be written: {error.strerror}") from None
        if not stat.S_ISREG(os.fstat(self._writer).st_mode):
            raise UsageError("FILE", name, "is no regular file: what is kept is read from it again")
        self._more = threading.Condition()
        self._kept = 0  #: bytes in the file
        self._read = 0  #: lines
        self._done = False
        self._failure: Exception | None = None
        self._taken = 0
        self._begin = time.monotonic()
        self._before = (self._begin, 0, 0)

    def run(self, source: int, sink: int) -> int:
        """Until the input has ended and all is passed on; the exit code. A first SIGINT ends the input (the scan before
        us gets it too), a second one ends us. Raises HostError, UsageError."""
        os.ftruncate(self._writer, 0)
        if self._status is not None:
            self._status.begin()
            self._status.write(HEADER)
        passing = threading.Thread(target=self._pass, args=(sink,), name="tee out", daemon=True)
        keeping = threading.Thread(target=self._keep, args=(source,), name="tee in", daemon=True)
        interrupts = 0

        def interrupted(_signum: int, _frame: FrameType | None) -> None:
            nonlocal interrupts
            interrupts += 1
            if interrupts > 1:
                raise KeyboardInterrupt

        before = signal.signal(signal.SIGINT, interrupted)
        try:
            passing.start()
            keeping.start()
            while keeping.is_alive() or passing.is_alive():
                (keeping if keeping.is_alive() else passing).join(STATUS_SECONDS)
                self._say()
        except KeyboardInterrupt:
            return _EXIT_INTERRUPTED
        finally:
            signal.signal(signal.SIGINT, before)
        self._say(last=True)
        if self._failure is not None:
            raise self._failure
        return _EXIT_INTERRUPTED if interrupts else 0

    def _keep(self, source: int) -> None:
        try:
            while data := os.read(source, CHUNK):
                at = 0
                while at < len(data):
                    at += os.write(self._writer, data[at:])
                with self._more:
                    self._kept += len(data)
                    self._read += data.count(b"\n")
                    self._more.notify()
        except OSError as error:
            self._failure = HostError(f"{self._name} cannot be written: {error.strerror}")
        with self._more:
            self._done = True
            self._more.notify()

    def _pass(self, sink: int) -> None:
        rest = b""
        try:
            while True:
                with self._more:
                    self._more.wait_for(lambda: self._done or self._kept > self._taken)
                    ended = self._done and self._kept == self._taken
                if ended:
                    break
                data = os.read(self._reader, CHUNK)
                self._taken += len(data)
                *lines, rest = (rest + data).split(b"\n")
                self._put(sink, [line + b"\n" for line in lines])
            if rest:
                self._put(sink, [rest])
        except BrokenPipeError:
            log.info("nobody reads any more; the rows are still kept in %s", self._name)
        except ValueError as error:
            self._failure = UsageError("--success-only", None, str(error))
        except OSError as error:
            self._failure = HostError(f"standard output cannot be written: {error.strerror}")

    def _put(self, sink: int, lines: list[bytes]) -> None:
        data = b"".join([passed for line in lines if (passed := self._rows.take(line)) is not None])
        at = 0
        while at < len(data):
            at += os.write(sink, data[at : at + CHUNK])

    def _say(self, last: bool = False) -> None:
        now = time.monotonic()
        then, read, passed = self._before
        if now - then < STATUS_SECONDS and not last:
            return
        step = max(now - then, 1e-3)
        self._before = (now, self._read, self._rows.passed)
        each = ((self._read - read) / step, (self._rows.passed - passed) / step)
        waiting = self._kept - self._taken
        if self._status is not None:
            self._status.write(
                f"{time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime())},{now - self._begin:.0f},{self._read},"
                f"{each[0]:.0f},{self._rows.passed},{each[1]:.0f},{waiting}\n"
            )
        if self._monitor is not None:
            print(
                f"read: {self._read} ({each[0]:.0f}/s); passed: {self._rows.passed} ({each[1]:.0f}/s); "
                f"waiting: {waiting} bytes",
                file=self._monitor,
                flush=True,
            )
