"""Replacing a file: the old content or the new one, never a part of it, also after a loss of power."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

#: For its owner only; and for whom the umask lets.
PRIVATE: Final = 0o600
SHARED: Final = 0o666


def replace(path: Path, content: bytes, mode: int) -> None:
    """Written beside, fsynced, renamed, the directory fsynced (rename(2)). Blocks on the disk. Raises OSError."""
    beside = path.with_name(f"{path.name}.{os.getpid()}.new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError:
        with suppress(OSError):
            beside.unlink()
        raise
    _sync_directory(path.parent)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
