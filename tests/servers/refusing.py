"""A database that takes no writes: `with Refusing(port) as db: db.refuse(DISK_FULL); ...; db.mend()`.

It stands before a real server and passes every message on, but a command that writes is answered here while something
is wrong, in the words of a real `mongod` (OP_MSG of the wire protocol; codes: mongodb/mongo
src/mongo/base/error_codes.yml).
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from dataclasses import dataclass
from typing import Any, Final, Self

import bson

#: Message length, request id, response to, opcode.
HEADER: Final = struct.Struct("<iiii")
OP_MSG: Final = 2013

#: Flag bits, then a section of kind 0: one document.
BODY_AT: Final = HEADER.size + 5

WRITES: Final = frozenset({"insert", "update", "delete", "findAndModify"})


@dataclass(frozen=True, slots=True)
class Wrong:
    """What is answered to a write."""

    code: int
    name: str
    each: bool = False  #: an error for each of the documents, not one for the command

    def answer(self) -> dict[str, Any]:
        told = {"code": self.code, "codeName": self.name, "errmsg": self.name}
        if self.each:
            return {"ok": 1.0, "n": 0, "nModified": 0, "writeErrors": [{"index": 0, **told}]}
        return {"ok": 0.0, **told}


NOT_PRIMARY: Final = Wrong(10107, "NotWritablePrimary")
DISK_FULL: Final = Wrong(14031, "OutOfDiskSpace", each=True)
UNAUTHORIZED: Final = Wrong(13, "Unauthorized")


class Refusing:
    """Listens on 127.0.0.1:`port` (chosen by the kernel) in front of 127.0.0.1:`target`."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.refused = 0
        self._wrong: Wrong | None = None
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []

    def refuse(self, wrong: Wrong) -> None:
        self._wrong = wrong

    def mend(self) -> None:
        self._wrong = None

    def __enter__(self) -> Self:
        self._begin(self._accept)
        return self

    def __exit__(self, *exc: object) -> None:
        for sock in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _begin(self, work: Any, *args: Any) -> None:
        self._threads.append(threading.Thread(target=work, args=args, name="refusing", daemon=True))
        self._threads[-1].start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._target), timeout=5)
            except OSError:
                return
            far.settimeout(None)
            self._open |= {near, far}
            self._begin(self._requests, near, far)
            self._begin(self._answers, far, near)

    def _requests(self, near: socket.socket, far: socket.socket) -> None:
        with near, contextlib.suppress(OSError):
            while message := _message(near):
                wrong = self._wrong
                if wrong is not None and _command(message) in WRITES:
                    self.refused += 1
                    near.sendall(_reply(message, wrong))
                else:
                    far.sendall(message)
            far.shutdown(socket.SHUT_RDWR)

    @staticmethod
    def _answers(far: socket.socket, near: socket.socket) -> None:
        with far, contextlib.suppress(OSError):
            while data := far.recv(65_536):
                near.sendall(data)
            near.shutdown(socket.SHUT_RDWR)


def _message(sock: socket.socket) -> bytes:
    """The next whole message; empty at the end."""
    head = sock.recv(4, socket.MSG_WAITALL)
    if len(head) < 4:
        return b""
    [length] = struct.unpack("<i", head)
    return head + sock.recv(length - 4, socket.MSG_WAITALL)


def _command(message: bytes) -> str:
    """The name of the command; empty for what is no OP_MSG."""
    if HEADER.unpack_from(message)[3] != OP_MSG:
        return ""
    [size] = struct.unpack_from("<i", message, BODY_AT)
    return next(iter(bson.decode(message[BODY_AT : BODY_AT + size])))


def _reply(message: bytes, wrong: Wrong) -> bytes:
    request = HEADER.unpack_from(message)[1]
    body = struct.pack("<IB", 0, 0) + bson.encode(wrong.answer())
    return HEADER.pack(HEADER.size + len(body), 0, request, OP_MSG) + body
