"""Adoption by a process that holds CAP_NET_ADMIN alone: half-open connections go there, sockets come back.

Its one work is `net.repair.adopt`; descriptors are handed over as SCM_RIGHTS (unix(7)). So the process that talks with
strangers, and parses what they say, needs no capability. Requests are answered whole and in their order; the socket of
the helper may be watched by an event loop (`fileno`), and `collect` waits for nothing.

    request   own_wscale, acknowledge, then a packed `Half` for each
    answer    an errno for each, 0: its socket is the next of those that came along
"""

from __future__ import annotations

import array
import errno
import os
import signal
import socket
import struct
from collections import deque
from collections.abc import Iterable
from types import TracebackType
from typing import Final, TypeAlias

from stages.net import helper, privileges
from stages.net.repair import Half, Row, Unable, adopt, probe

Adopted: TypeAlias = socket.socket | OSError

#: Connections of one request: some milliseconds of work, and under SCM_MAX_FD, the 253 descriptors of one message.
BATCH: Final = 64
#: An adoption takes microseconds. A helper that hangs must not hang us.
ANSWER_SECONDS: Final = 60.0

_HEAD: Final = struct.Struct("=b?")
_HALF: Final = struct.Struct("=IIHHIIHHhBBI")
_ERRNO: Final = struct.Struct("=i")
_ANSWER_BYTES: Final = BATCH * _ERRNO.size
_REQUEST_BYTES: Final = _HEAD.size + BATCH * _HALF.size
_RIGHTS_BYTES: Final = socket.CMSG_SPACE(BATCH * array.array("i").itemsize)
_IGNORED: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE)


class Adopter:
    """The helper, from here. One thread uses it."""

    def __init__(self) -> None:
        """The calling thread has CAP_NET_ADMIN, or nothing can be adopted. Raises Unable, saying why."""
        try:
            self._peer = helper.start("stages.net.adopting", privileges.CAP_NET_ADMIN)
        except PermissionError:
            raise Unable(errno.EPERM, "adoption (TCP_REPAIR) needs CAP_NET_ADMIN") from None
        self._asked: deque[int] = deque()
        try:
            self._peer.settimeout(ANSWER_SECONDS)
            reason = self._peer.recv(_REQUEST_BYTES)
        except OSError as error:
            self._peer.close()
            raise Unable(error.errno, f"the helper that adopts does not answer: {error.strerror or error}") from error
        if reason != b"ready":
            self._peer.close()
            raise Unable(errno.ENOTSUP, reason.decode() or "the helper that adopts ended at its start")

    def fileno(self) -> int:
        """Readable when an answer is there."""
        return self._peer.fileno()

    @property
    def asked(self) -> int:
        """Connections whose answers have not been collected."""
        return sum(self._asked)

    def submit(self, rows: Iterable[Row], *, own_wscale: int, acknowledge: bool = True) -> None:
        """Ask for BATCH connections at most, see `repair.adopt`. Raises ValueError, OSError: the helper is gone."""
        halves = [Half.of(row) for row in rows]
        if not 0 < len(halves) <= BATCH:
            raise ValueError(f"{len(halves)} connections in one request: 1 to {BATCH} are possible")
        self._peer.settimeout(ANSWER_SECONDS)
        self._peer.send(_HEAD.pack(own_wscale, acknowledge) + b"".join(_HALF.pack(*half) for half in halves))
        self._asked.append(len(halves))

    def collect(self, *, wait: bool = False) -> list[Adopted] | None:
        """The answer to the oldest request, in its order: sockets and errors. None: it is not there yet.

        Raises OSError: the helper is gone.
        """
        if not self._asked:
            return None
        self._peer.settimeout(ANSWER_SECONDS if wait else 0.0)
        try:
            data, ancillary, _, _ = self._peer.recvmsg(_ANSWER_BYTES, _RIGHTS_BYTES)
        except BlockingIOError:
            return None
        sockets = deque(_sockets(ancillary))
        count = self._asked.popleft()
        if len(data) != count * _ERRNO.size:
            for sock in sockets:
                sock.close()
            raise OSError(errno.EPIPE, "the helper that adopts has ended")
        answers: list[Adopted] = []
        for (number,) in _ERRNO.iter_unpack(data):
            if number:
                answers.append(OSError(number, os.strerror(number)))
            elif sockets:
                answers.append(sockets.popleft())
            else:  # the kernel gives as many as we have room for, and closes the others
                answers.append(OSError(errno.EMFILE, os.strerror(errno.EMFILE)))
        return answers

    def adopt(self, rows: Iterable[Row], *, own_wscale: int, acknowledge: bool = True) -> list[Adopted]:
        """`submit`, and wait for the answer; nothing else may be asked for. BATCH connections at most."""
        if self._asked:
            raise ValueError("answers to earlier requests have not been collected")
        self.submit(rows, own_wscale=own_wscale, acknowledge=acknowledge)
        answers = self.collect(wait=True)
        assert answers is not None
        return answers

    def close(self) -> None:
        """The helper ends. Idempotent."""
        self._peer.close()

    def __enter__(self) -> Adopter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _sockets(ancillary: list[tuple[int, int, bytes]]) -> list[socket.socket]:
    found = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            found.frombytes(data[: len(data) - len(data) % found.itemsize])
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, fileno=fd) for fd in found]
    for sock in sockets:
        sock.setblocking(False)
    return sockets


def serve(peer: socket.socket) -> None:
    """In the helper: until the other end is closed."""
    while request := peer.recv(_REQUEST_BYTES):
        own_wscale, acknowledge = _HEAD.unpack_from(request)
        numbers, sockets = [], []
        try:
            for fields in _HALF.iter_unpack(request[_HEAD.size :]):
                try:
                    half = Half(*fields)
                    sockets.append(adopt(half._asdict(), own_wscale=own_wscale, acknowledge=acknowledge))
                    numbers.append(0)
                except OSError as error:
                    numbers.append(error.errno or errno.EIO)
            rights = array.array("i", [sock.fileno() for sock in sockets])
            data = b"".join(map(_ERRNO.pack, numbers))
            peer.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)] if sockets else [])
        finally:
            for sock in sockets:
                sock.close()


def main() -> None:
    """`python -m stages.net.adopting`, started by `Adopter`."""
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    peer = helper.detach(privileges.CAP_NET_ADMIN)
    peer.settimeout(None)
    try:
        peer.send((probe() or "ready").encode())
        serve(peer)
    except OSError:  # who asked is gone
        pass


if __name__ == "__main__":
    main()
