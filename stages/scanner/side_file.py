"""A file beside the results: opened at the start, changed only when the scan begins, and whole at any moment.

write    lines are appended, each by one call of the system: who kills us leaves whole lines
replace  the whole content is another, at once (a file of that name takes the place of the old one); what is no
         regular file (a pipe, a terminal) is written to at the end only
"""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path
from typing import Final

from stages.core.errors import HostError, UsageError

#: The name of standard output.
STDOUT: Final = "-"


class SideFile:
    """One file; `option` names it in messages."""

    def __init__(self, option: str, name: str) -> None:
        """Open it, and change nothing. Raises UsageError when it cannot be written."""
        self._option, self._name = option, name
        try:
            if name == STDOUT:
                self._descriptor = os.dup(sys.__stdout__.fileno() if sys.__stdout__ is not None else 1)
            else:
                self._descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise UsageError(option, name, f"cannot be written: {error.strerror}") from None
        status = os.fstat(self._descriptor)
        self._regular = name != STDOUT and stat.S_ISREG(status.st_mode)
        self._mode = stat.S_IMODE(status.st_mode)

    def begin(self) -> None:
        """Empty it."""
        if self._regular:
            os.ftruncate(self._descriptor, 0)

    def write(self, text: str) -> None:
        """Append whole lines. Raises HostError."""
        data = text.encode()
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
        except OSError as error:
            raise HostError(f"{self._option}: {self._name} cannot be written: {error.strerror}") from None

    def replace(self, text: str, *, last: bool) -> None:
        """Make `text` all that it holds; `last`: it will not change again. Raises HostError."""
        if not self._regular:
            if last:
                self.write(text)
            return
        path = Path(os.path.realpath(self._name))
        new = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            new.write_text(text)
            new.chmod(self._mode)
            os.replace(new, path)
        except OSError as error:
            new.unlink(missing_ok=True)
            raise HostError(f"{self._option}: {self._name} cannot be written: {error.strerror}") from None

    def close(self) -> None:
        os.close(self._descriptor)
