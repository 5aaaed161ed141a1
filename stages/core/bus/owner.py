"""Which process reads for a group of a SQLite log: a token that another process can test for life.

A process id alone is not enough: ids are used again, and mean nothing in another PID namespace. The token is
`PID-START-NAMESPACE-RANDOM`, with the process' start time (field 22 of /proc/PID/stat, proc(5)) and the inode of its
PID namespace (namespaces(7)). Only a process of the same namespace can be found alive; a token from elsewhere counts
as dead, and the fence in `segments.commit` then keeps the loser from committing.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from secrets import token_hex

#: Tokens of this process that are in use.
_in_use: set[str] = set()


def _start_of(pid: int) -> str:
    """Start time of a process in clock ticks since boot; "" where it cannot be known."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    return stat[stat.rindex(")") + 2 :].split()[19]  # the name before may hold anything, also blanks and brackets


def _namespace() -> str:
    try:
        return str(os.stat("/proc/self/ns/pid").st_ino)
    except OSError:
        return ""


def take() -> str:
    """A new token of this process."""
    pid = os.getpid()
    token = f"{pid}-{_start_of(pid)}-{_namespace()}-{token_hex(4)}"
    _in_use.add(token)
    return token


def drop(token: str) -> None:
    """The token is not in use any more."""
    _in_use.discard(token)


def alive(token: str) -> bool:
    """Whether the process of a token, as far as this one can see, still uses it."""
    pid, start, namespace, _ = token.split("-")
    if namespace != _namespace():
        return False
    if int(pid) == os.getpid() and start == _start_of(os.getpid()):
        return token in _in_use
    if start:
        return _start_of(int(pid)) == start
    if sys.platform == "win32":
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
