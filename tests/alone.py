"""A network of its own for each process that runs tests side by side: then what they bind on loopback does not collide.

`make test` runs as many processes as there are processors where it may make network namespaces (as root), and one
elsewhere. What is fetched from outside is fetched before (`tests.servers.fetch`): from in here nothing is to be had.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
from typing import Final

#: sched.h
_CLONE_NEWNET: Final = 0x40000000


def leave_for_own_network() -> None:
    """Put this process, if it is one of several, into a namespace where there is loopback and nothing else.

    Before there are other threads: a namespace is a thread's, and handed down. Raises OSError.
    """
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, f"no network namespace for a test process: {os.strerror(number)}")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
