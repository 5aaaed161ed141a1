"""numba, set up the same way everywhere: `@kernel` for what Python calls, `@piece` and `@part` for what it is made of.

Kernels release the GIL and are cached on disk, so that only the first start after an installation compiles. Two things
numba's cache does not do by itself are done here: where no directory can be written (a read-only image) the kernel
works uncached instead of failing at import; and an entry is stale when *any* file that a piece of the kernel comes
from has changed, not only the kernel's own (numba stamps that one file alone).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

import numba

_F = TypeVar("_F", bound=Callable[..., Any])


def piece(function: _F) -> _F:
    """A small function that is merged into each kernel that calls it (LLVM `alwaysinline`: loops still vectorise)."""
    compiled: _F = numba.njit(forceinline=True)(function)
    return compiled


def part(function: _F) -> _F:
    """A larger function that only kernels call, in several places: compiled once and called, not merged."""
    compiled: _F = numba.njit(nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)(function)
    return compiled


def kernel(function: _F) -> _F:
    """A function over arrays which Python calls: no GIL, compiled at the first call, cached on disk where possible.

    Define it below the pieces that it uses: they are looked up here, for the stamp.
    """
    compiled: _F
    try:
        compiled = numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:  # "no locator available": neither the package nor a cache directory can be written
        compiled = numba.njit(nogil=True)(function)
        return compiled
    files = sorted(_files(function, set()))
    if len(files) > 1:
        cache_file = compiled._cache._cache_file  # type: ignore[attr-defined]
        cache_file._source_stamp = tuple(_stamp(file) for file in files)
    return compiled


def _files(function: Callable[..., Any], seen: set[Callable[..., Any]]) -> set[str]:
    """Source files of `function` and of every piece reachable from it through module globals."""
    seen.add(function)
    code = function.__code__
    files = {code.co_filename}
    for name in code.co_names:
        used = getattr(function.__globals__.get(name), "py_func", None)
        if used is not None and used not in seen:
            files |= _files(used, seen)
    return files


def _stamp(file: str) -> tuple[float, int]:
    status = os.stat(file)
    return status.st_mtime, status.st_size
