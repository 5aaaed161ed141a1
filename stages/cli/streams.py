"""The standard streams as a command finds them: closed, full, or with nobody at the other end.

A descriptor from 0 to 2 that our caller closed (`<&-`) is taken by the next file that anybody opens: a socket would
then be written to as standard output, and libuv aborts the process when it has to close one. So it is filled first,
with /dev/null opened the wrong way round: whoever uses the stream still hears "Bad file descriptor", as glibc does it
for programs with privileges.

What goes wrong in writing to standard output is the host's or the reader's doing and no bug, whichever command writes:
the stream itself says so, as a HostError or, for `longline query ... | head`, as a ReaderGone.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from stages.core.errors import HostError, ReaderGone

STDOUT: Final = 1

#: How a closed descriptor is filled, so that using it fails: input cannot be read, outputs cannot be written.
_WRONG_WAY: Final = (os.O_WRONLY, os.O_RDONLY, os.O_RDONLY)


def fill() -> None:
    """Open what is closed of descriptors 0, 1 and 2."""
    for descriptor, mode in enumerate(_WRONG_WAY):
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest free number is given (open(2)), and those below are open by now. To be inherited, as the
            # streams are.
            os.set_inheritable(os.open(os.devnull, mode), True)
    if sys.stderr is None:  # so Python starts without a descriptor 2
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 -- as long as the process


class _Stdout(io.FileIO):
    """Descriptor 1; a write that fails is an error of ours."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            # What is left in the buffers is tried again when they are closed: let it go.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, STDOUT)
            os.close(nowhere)
            if isinstance(error, BrokenPipeError):
                raise ReaderGone("standard output: nobody reads any more") from None
            raise HostError(f"standard output: {error.strerror}") from None


@contextmanager
def standard() -> Iterator[None]:
    """The streams of a command. At its end what was written is flushed; raises HostError and ReaderGone."""
    fill()
    before = sys.stdout
    if before is not sys.__stdout__:  # somebody catches what is written
        yield
        return
    if before is not None:
        before.flush()
    raw = _Stdout(STDOUT, "w", closefd=False)
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(raw), encoding="utf-8", errors="backslashreplace", line_buffering=raw.isatty()
    )
    try:
        yield
    finally:
        ours, sys.stdout = sys.stdout, before
        ours.close()
