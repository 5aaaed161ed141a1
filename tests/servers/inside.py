"""Work in another network namespace: a thread that stands in it. A socket stays where it was made, whoever uses it."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from stages.net import confine

_T = TypeVar("_T")
_CLONE_NEWNET = 0x40000000


class Inside:
    """Calls are done one after another by the thread inside."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._thread = ThreadPoolExecutor(1, "inside", self._enter)

    def _enter(self) -> None:
        namespace = os.open(f"/proc/{self.pid}/ns/net", os.O_RDONLY)
        try:
            if ctypes.CDLL(None, use_errno=True).setns(namespace, _CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
        finally:
            os.close(namespace)
        confine.forget()
        assert confine.marked()

    def __call__(self, work: Callable[[], _T]) -> _T:
        return self._thread.submit(work).result()

    def close(self) -> None:
        self._thread.shutdown()


@contextmanager
def inside(pid: int) -> Iterator[Inside]:
    there = Inside(pid)
    try:
        yield there
    finally:
        there.close()
