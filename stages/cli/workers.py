"""`--workers N`: one stage in N processes, as if it were one.

From a pipe the parent deals the lines out and collects what comes back, whole lines only; a network (/24, /48) belongs
to one worker, so that politeness towards hosts and networks holds without a word between them, and what is allowed to
all (connections at once, the rate) is shared out. A header goes to everybody. From Kafka each worker is a consumer of
the group, which deals out partitions itself. A SQLite log has one process a stage.

                    +--> worker 0 --+
    stdin --> deal -+--> worker 1 --+-> stdout, stderr, line by line
                    +--> ...      --+

Workers are forked before anything heavy is loaded and before there are threads. They have a process group each, so that
a signal from a terminal reaches them once, through the parent.
"""

from __future__ import annotations

import math
import os
import re
import selectors
import signal
import sys
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final
from zlib import crc32

from stages.core.bus.pipe import READ_BYTES, STDERR, STDIN, STDOUT, LineSplitter, write_all
from stages.core.errors import HostError, ReaderGone, RecordError, SettingError
from stages.core.intake import LineReader
from stages.core.lifecycle import EXIT_BUG, SIGNAL_BASE, SIGNALS, report
from stages.core.records import prefix_key
from stages.core.settings import PIPE, BusSettings, Loaded, MetricsSettings, PolitenessSettings

#: Bytes that may wait for one worker before no more is read: a few thousand lines.
MAX_WAITING: Final = 256 * 1024

#: prctl(2): the signal that a process gets when its parent dies.
_PR_SET_PDEATHSIG: Final = 1

#: `192.0.2.1`, `192.0.2.1:443`, `192.0.2.1,443,example.org`: the network needs no reader.
_PLAIN: Final = re.compile(rb"(\d{1,3}\.\d{1,3}\.\d{1,3})\.\d{1,3}(?=[,:]|$)").match


class Dealer:
    """Who gets a line. Pure; it holds the header that was seen last, as a LineReader does."""

    def __init__(self, reader: LineReader, workers: int) -> None:
        self._reader = reader
        self._workers = workers
        self._headed = False

    def owner(self, line: bytes) -> int | None:
        """The number of a worker; None: all of them. What cannot be read goes to the first, to be buried there."""
        if not self._headed and (plain := _PLAIN(line)) is not None:
            return crc32(plain[1]) % self._workers
        try:
            hit = self._reader.read(line, 0)
        except RecordError:
            return 0
        if hit is None:
            self._headed = True  # a header, or something that is none: from here on the reader is asked
            return None
        return crc32(prefix_key(hit.ip)) % self._workers


def shares(loaded: Loaded, stage: str, number: int, workers: int) -> Loaded:
    """The settings of one worker. Raises SettingError: its port for metrics would be none."""
    settings = loaded.section(stage)
    own = loaded.changed(stage, workers=1, concurrent=math.ceil(settings.concurrent / workers))
    bus, politeness = loaded.get("bus", BusSettings), loaded.get("politeness", PolitenessSettings)
    if bus.source == PIPE:  # a consumer of a log takes its share of the rate by its partitions
        own = own.changed("politeness", rate=politeness.rate / workers)
    metrics = loaded.get("metrics", MetricsSettings)
    if metrics.address is not None and metrics.address[1]:
        host, _, port = (metrics.listen or "").rpartition(":")
        if int(port) + workers > 65536:
            raise SettingError("metrics.listen", metrics.listen, f"no ports for {workers} workers from there on")
        own = own.changed("metrics", listen=f"{host}:{int(port) + number}")
    if metrics.file is not None:
        own = own.changed("metrics", file=f"{metrics.file}.{number}")
    return own


@dataclass(slots=True)
class _Worker:
    pid: int
    fd_in: int = -1  #: -1: closed, or not ours
    waiting: deque[bytes] = field(default_factory=deque)
    size: int = 0  #: bytes of `waiting`
    code: int | None = None


def run_workers(loaded: Loaded, stage: str, workers: int, run: Callable[[Loaded], int], reader: LineReader) -> int:
    """The exit code of all: 0, that of the first that failed, or that of a signal.

    `run` is the whole life of one worker, called in its process; `reader` tells the addresses of lines.

    Raises SettingError: not with this log; HostError, ReaderGone: the streams.
    """
    bus = loaded.get("bus", BusSettings)
    for url in (bus.source, bus.sink):
        if url.startswith("sqlite:"):
            raise SettingError(f"{stage}.workers", workers, f"{url} has one process a stage; Kafka or a pipe have many")
    each = [shares(loaded, stage, number, workers) for number in range(workers)]
    return _Parent(reader, deals=bus.source == PIPE, collects=bus.sink == PIPE).run(each, run)


class _Parent:
    """The loop of the parent: signals, lines in, lines out, the workers' ends."""

    def __init__(self, reader: LineReader, *, deals: bool, collects: bool) -> None:
        self._reader = reader
        self._deals = deals
        self._collects = collects
        self._workers: list[_Worker] = []
        self._splitters: dict[int, tuple[LineSplitter, int]] = {}  # descriptor -> (its lines, where they go)
        self._select = selectors.DefaultSelector()
        self._signum: int | None = None
        self._input = LineSplitter()
        self._reading = False

    def run(self, each: Sequence[Loaded], run: Callable[[Loaded], int]) -> int:
        sys.stdout.flush()
        sys.stderr.flush()
        wake, woken = os.pipe()
        os.set_blocking(woken, False)
        before = {signum: signal.getsignal(signum) for signum in SIGNALS}
        for own in each:
            self._fork(own, run)
        signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
        for signum in SIGNALS:
            signal.signal(signum, self._signalled)
        self._select.register(wake, selectors.EVENT_READ)
        try:
            self._loop(wake)
        finally:
            signal.set_wakeup_fd(-1)
            for signum, handler in before.items():
                signal.signal(signum, handler)
            for worker in self._workers:
                if worker.code is None:
                    with suppress(ProcessLookupError):
                        os.kill(worker.pid, signal.SIGKILL)
                    self._reap(worker)
            self._select.close()
            for fd in (wake, woken, *self._splitters, *(w.fd_in for w in self._workers if w.fd_in >= 0)):
                os.close(fd)
        if self._signum is not None:
            return SIGNAL_BASE + self._signum
        return next((worker.code for worker in self._workers if worker.code), 0)

    def _fork(self, own: Loaded, run: Callable[[Loaded], int]) -> None:
        lines, out, err = os.pipe(), os.pipe(), os.pipe()
        pid = os.fork()
        if not pid:
            code = EXIT_BUG
            try:
                os.setpgid(0, 0)
                _die_with_parent()
                for fd, ours in ((lines[0], STDIN), (out[1], STDOUT), (err[1], STDERR)):
                    if ours is not STDIN or self._deals:
                        os.dup2(fd, ours)
                for fd in (*lines, *out, *err, *self._splitters, *(w.fd_in for w in self._workers if w.fd_in >= 0)):
                    os.close(fd)
                code = run(own)
                sys.stdout.flush()
                sys.stderr.flush()
            except Exception as error:  # nothing of the parent may run here
                code = report(error)
            finally:
                os._exit(code)
        for fd in (lines[0], out[1], err[1]):
            os.close(fd)
        os.set_blocking(lines[1], False)
        self._workers.append(_Worker(pid, lines[1]))
        for fd, where in ((out[0], STDOUT), (err[0], STDERR)):
            self._splitters[fd] = (LineSplitter(), where)

    def _signalled(self, signum: int, _: object) -> None:
        if self._signum is None:
            self._signum = signum
        for worker in self._workers:
            if worker.code is None:
                with suppress(ProcessLookupError):
                    os.kill(worker.pid, signum)

    # -- the loop ---------------------------------------------------------------------------------------------------

    def _loop(self, wake: int) -> None:
        """Until every worker has closed its outputs."""
        dealer = Dealer(self._reader, len(self._workers))
        for fd in self._splitters:
            self._select.register(fd, selectors.EVENT_READ)
        if not self._deals:
            self._end_input()
        self._reading = self._deals
        watched = False
        while self._splitters:
            full = any(worker.size > MAX_WAITING for worker in self._workers)
            wanted = self._reading and not full and self._signum is None
            if wanted and not watched:
                watched = self._watch_stdin()
            elif watched and not wanted:
                self._select.unregister(STDIN)
                watched = False
            there = wanted and not watched  # a regular file cannot be watched, and is always there
            for key, events in self._select.select(0 if there else None):
                if key.fd == wake:
                    os.read(wake, 4096)
                elif events & selectors.EVENT_WRITE:
                    self._write(key.data)
                elif key.fd in self._splitters:
                    self._collect(key.fd)
                elif key.fd == STDIN:
                    there = True
            if there:
                self._deal(dealer)
            if self._signum is not None and self._reading:
                self._reading = False
                self._end_input()
        for worker in self._workers:
            self._reap(worker)

    def _watch_stdin(self) -> bool:
        try:
            self._select.register(STDIN, selectors.EVENT_READ)
        except (PermissionError, ValueError):
            return False
        return True

    def _deal(self, dealer: Dealer) -> None:
        try:
            data = os.read(STDIN, READ_BYTES)
        except OSError as error:
            raise HostError(f"reading input: {error.strerror}") from error
        lines = self._input.feed(data) if data else self._input.end()
        hands: list[list[bytes]] = [[] for _ in self._workers]
        for line in lines:
            owner = dealer.owner(line)
            for hand in hands if owner is None else (hands[owner],):
                hand.append(line)
        for worker, hand in zip(self._workers, hands, strict=True):
            if hand and worker.fd_in >= 0:
                whole = b"\n".join([*hand, b""])
                worker.waiting.append(whole)
                worker.size += len(whole)
                self._write(worker)
        if not data:
            self._reading = False
            self._end_input()

    def _end_input(self) -> None:
        """No more will come; what waits is still written."""
        self._reading = False
        for worker in self._workers:
            if worker.fd_in >= 0 and not worker.waiting:
                self._close_input(worker)

    def _write(self, worker: _Worker) -> None:
        """As much as its pipe takes."""
        while worker.waiting and worker.fd_in >= 0:
            first = worker.waiting[0]
            try:
                count = os.write(worker.fd_in, first)
            except BlockingIOError:
                with suppress(KeyError):
                    self._select.register(worker.fd_in, selectors.EVENT_WRITE, worker)
                return
            except BrokenPipeError:  # it has gone; its exit code will tell
                worker.waiting.clear()
                worker.size = 0
                self._close_input(worker)
                return
            worker.size -= count
            if count == len(first):
                worker.waiting.popleft()
            else:
                worker.waiting[0] = first[count:]
        if worker.fd_in >= 0:
            with suppress(KeyError):
                self._select.unregister(worker.fd_in)
            if not self._reading:
                self._close_input(worker)

    def _close_input(self, worker: _Worker) -> None:
        with suppress(KeyError):
            self._select.unregister(worker.fd_in)
        os.close(worker.fd_in)
        worker.fd_in = -1

    def _collect(self, fd: int) -> None:
        splitter, where = self._splitters[fd]
        data = os.read(fd, READ_BYTES)
        lines = splitter.feed(data) if data else splitter.end()
        if lines:
            try:
                write_all(where, b"\n".join([*lines, b""]))
            except BrokenPipeError:
                raise ReaderGone("standard output: nobody reads any more") from None
            except OSError as error:
                raise HostError(f"standard output: {error.strerror}") from error
        if not data:
            self._select.unregister(fd)
            os.close(fd)
            del self._splitters[fd]

    def _reap(self, worker: _Worker) -> None:
        if worker.code is None:
            code = os.waitstatus_to_exitcode(os.waitpid(worker.pid, 0)[1])
            worker.code = code if code >= 0 else SIGNAL_BASE - code


def _die_with_parent() -> None:
    """Where the system can: a parent that is killed leaves nobody behind (Linux)."""
    import ctypes

    with suppress(AttributeError, OSError):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
