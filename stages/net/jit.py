"""numba, set up the same way everywhere: `@kernel` for what Python calls, `@piece` and `@part` for what it is made of.

Kernels release the GIL and are cached on disk, so that only the first start after an installation compiles. Three
things numba's cache does not do by itself are done here: where no directory can be written the kernel works uncached
instead of failing at import; what an image brings along beside the source, which cannot be written, is read; and an
entry is stale when *any* file that a piece of the kernel comes from has changed, not only the kernel's own.
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Callable
from typing import Any, TypeVar

import numba
from numba.core import caching

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
    compiled: _F = numba.njit(nogil=True)(function)
    cache = _brought_along(function)
    if cache is None:
        try:
            cache = caching.FunctionCache(function)
        except RuntimeError:  # "no locator available": neither the package nor a cache directory can be written
            return compiled
    cache._cache_file._source_stamp = tuple(map(_stamp, sorted(_files(function, set()))))
    compiled._cache = cache  # type: ignore[attr-defined]
    return compiled


class _Beside:
    """Where a kernel's cache is that was made beside its source (numba's protocol of a cache locator)."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._code = function.__code__

    @classmethod
    def from_function(cls, function: Callable[..., Any], _file: str) -> _Beside:
        return cls(function)

    def get_cache_path(self) -> str:
        return os.path.join(os.path.dirname(self._code.co_filename), "__pycache__")

    def get_disambiguator(self) -> str:
        return str(self._code.co_firstlineno)

    def get_source_stamp(self) -> None:
        """`kernel` gives the stamp."""


class _BesideImpl(caching.CompileResultCacheImpl):  # type: ignore[misc]
    _locator_classes = (_Beside,)


class _ReadOnly(caching.FunctionCache):  # type: ignore[misc]
    """What is not in it is compiled, and not kept."""

    _impl_class = _BesideImpl

    def save_overload(self, _signature: Any, _data: Any) -> None:
        pass


def _brought_along(function: Callable[..., Any]) -> Any:
    """The cache of a kernel in a folder that cannot be written, None where there is none."""
    if numba.config.CACHE_LOCATOR_CLASSES or os.access(_Beside(function).get_cache_path(), os.W_OK):
        return None
    cache = _ReadOnly(function)
    return cache if os.path.exists(cache._cache_file._index_path) else None


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


@functools.cache
def _stamp(file: str) -> bytes:
    """By content: a file that is copied, into an image say, has another time and is the same."""
    with open(file, "rb") as source:
        return hashlib.sha256(source.read()).digest()
