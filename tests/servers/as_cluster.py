"""`python as_cluster.py ROOT CAPABILITY,... PROGRAM ...`: run a program as a cluster's runtime does it for a pod that
adds capabilities and runs as another user than root.

The capabilities are in the bounding and permitted sets before the program is executed, and neither inheritable nor
ambient (podman makes them ambient, containerd does not); no new privileges. What the program has then is what its file
capabilities take of them.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from typing import Final

#: linux/capability.h, linux/prctl.h
NUMBERS: Final = {"NET_ADMIN": 12, "NET_RAW": 13}
_VERSION_3: Final = 0x20080522
_PR_SET_KEEPCAPS: Final = 8
_PR_CAPBSET_DROP: Final = 24
_PR_SET_NO_NEW_PRIVS: Final = 38
_LAST: Final = 63
USER: Final = 65532


def main(root: str, capabilities: str, *command: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    wanted = sum(1 << NUMBERS[name] for name in capabilities.split(",") if name)
    os.chroot(root)
    os.chdir("/")
    for number in range(_LAST):
        if not wanted >> number & 1:
            libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0)
    libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0)
    os.setgroups([])
    os.setresgid(USER, USER, USER)
    os.setresuid(USER, USER, USER)
    header = struct.pack("=Ii", _VERSION_3, 0)
    sets = struct.pack("=6I", 0, wanted, 0, 0, 0, 0)  # effective, permitted, inheritable: below 32, above
    if libc.capset(header, sets):
        raise OSError(ctypes.get_errno(), "capset")
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    os.execve(command[0], command, {"PATH": "/opt/longline/bin"})


if __name__ == "__main__":
    main(*sys.argv[1:])
