"""Whether the process that a mark names still lives: a pid is used again, with its start time it is not (proc(5))."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, Literal

from stages.net.firewall_rules import Mark

Life = Literal["alive", "dead", "unknown"]

_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
#: Of /proc/PID/stat after the name in brackets: state is its 3rd field, the start time its 22nd.
_STATE: Final = 0
_START: Final = 19
_ENDED: Final = ("Z", "X")


def stat(pid: int) -> tuple[str, int] | None:
    """State and start time of a process; None: there is none, or it is hidden from us."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()  # a name may hold brackets and spaces
    return fields[_STATE], int(fields[_START])


def own_mark() -> Mark:
    """The mark of this process. Raises OSError where /proc does not tell."""
    found = stat(os.getpid())
    if found is None:
        raise OSError(f"/proc/{os.getpid()}/stat cannot be read")
    return Mark(os.getpid(), found[1], _boot(), _pidns())


def life(mark: Mark) -> Life:
    """`unknown`: it counts its pids in another namespace, or is hidden from us."""
    if mark.boot != _boot():
        return "dead"
    if mark.pidns != _pidns():
        return "unknown"
    found = stat(mark.pid)
    if found is not None:
        return "alive" if found[1] == mark.start and found[0] not in _ENDED else "dead"
    try:
        os.kill(mark.pid, 0)
    except ProcessLookupError:
        return "dead"
    except OSError:
        pass
    return "unknown"


def _boot() -> str:
    return _BOOT.read_text(encoding="ascii").strip()


def _pidns() -> int:
    return os.stat("/proc/self/ns/pid").st_ino
