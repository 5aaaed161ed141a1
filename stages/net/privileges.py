"""Capabilities are held for as long as it takes to open packet sockets, and by one thread only.

Linux gives capabilities to threads, and no call takes them from another thread (capabilities(7)). So the first thread
drops them at the start, while it is alone; every thread that it starts later has none. One thread is started before
that: it keeps what the process began with, does the one piece of work that needs it, and ends. What parses the
packets of strangers, or talks with them, can then do no more than any process of its user.

The superuser keeps what it needs for files in the folders of others (CAP_DAC_OVERRIDE: output, checkpoint, lists,
database; CAP_CHOWN: SQLite gives its log the owner of the database), and CAP_NET_BIND_SERVICE for a metrics port below
1024. `no_new_privs` (prctl(2)) sees to it that no program
started from here gets back what was dropped, as every program of the superuser otherwise would. A helper process may
hold one capability longer, alone (`net.helper`).
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Final, TypeVar

from stages.net import confine

_T = TypeVar("_T")

CAP_CHOWN: Final = 0
CAP_DAC_OVERRIDE: Final = 1
CAP_NET_BIND_SERVICE: Final = 10
CAP_NET_ADMIN: Final = 12

#: What is kept of what there was.
KEPT: Final = 1 << CAP_CHOWN | 1 << CAP_DAC_OVERRIDE | 1 << CAP_NET_BIND_SERVICE

_PR_SET_NO_NEW_PRIVS: Final = 38
_PR_CAP_AMBIENT: Final = 47
_PR_CAP_AMBIENT_RAISE: Final = 2
_CAPABILITY_VERSION_3: Final = 0x20080522  # linux/capability.h: 64 bits in two halves
_HALF: Final = 32


class _Header(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _Half(ctypes.Structure):
    _fields_ = [("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32)]


def capabilities() -> int:
    """The calling thread's permitted capabilities, as bits; 0 where there is no such thing. Raises OSError."""
    return _read()[1] if sys.platform == "linux" else 0


def drop(kept: int = KEPT) -> None:
    """Take all capabilities but `kept` from the calling thread, and from the threads that it will start, for good.

    Does nothing where there is no such thing. Raises OSError.
    """
    if sys.platform != "linux":
        return
    libc = _libc()
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise _error()
    effective, permitted, _ = _read()
    _write(libc, effective & kept, permitted & kept, 0)


def hand_down(capability: int) -> None:
    """Let the programs that the calling thread starts have one capability, whoever runs it (ambient, capabilities(7)).

    The superuser's have it anyway. Raises OSError: EPERM, the thread does not have it.
    """
    libc = _libc()
    effective, permitted, inheritable = _read()
    _write(libc, effective, permitted, inheritable | 1 << capability & permitted)
    if libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, capability, 0, 0):
        raise _error("capabilities cannot be handed down")


class Setup:
    """Made by the first thread before there are others: it has no capabilities any more, `run` still has.

    As a context manager it ends the thread that keeps them, if `run` or `close` has not.
    """

    def __init__(self) -> None:
        """Raises OSError."""
        # Asked for once more after the drop, process 1 would not be told apart from us (ptrace(2), access modes).
        confine.marked()
        self._keeper: ThreadPoolExecutor | None = ThreadPoolExecutor(1, "setup")
        self._keeper.submit(capabilities).result()
        drop()

    def run(self, work: Callable[[], _T], *, last: bool = True) -> _T:
        """Do `work` with the capabilities that the process began with; after the `last` one it is done without."""
        if self._keeper is None:
            return work()
        try:
            return self._keeper.submit(work).result()
        finally:
            if last:
                self.close()

    def close(self) -> None:
        """Nobody has capabilities any more. Idempotent."""
        if self._keeper is not None:
            self._keeper.shutdown()
            self._keeper = None

    def __enter__(self) -> Setup:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _read() -> tuple[int, int, int]:
    """Effective, permitted, inheritable."""
    data = (_Half * 2)()
    if _libc().capget(ctypes.byref(_Header(_CAPABILITY_VERSION_3, 0)), ctypes.byref(data)):
        raise _error()
    low, high = data
    return (
        low.effective | high.effective << _HALF,
        low.permitted | high.permitted << _HALF,
        low.inheritable | high.inheritable << _HALF,
    )


def _write(libc: Any, effective: int, permitted: int, inheritable: int) -> None:
    data = (_Half * 2)()
    for number, half in enumerate(data):
        half.effective = effective >> (number * _HALF) & 0xFFFFFFFF
        half.permitted = permitted >> (number * _HALF) & 0xFFFFFFFF
        half.inheritable = inheritable >> (number * _HALF) & 0xFFFFFFFF
    if libc.capset(ctypes.byref(_Header(_CAPABILITY_VERSION_3, 0)), ctypes.byref(data)):
        raise _error()


def _libc() -> Any:
    return ctypes.CDLL(None, use_errno=True)


def _error(what: str = "capabilities cannot be dropped") -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{what}: {os.strerror(number)}")
