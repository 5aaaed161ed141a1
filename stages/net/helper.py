"""A small process that holds one capability, and a socket to it: what it does can be asked for by a process with none.

It is `python -m MODULE` with the socket as its standard input, in a session of its own, so that what a terminal sends
to a process group does not reach it. Once started (`detach`) it is nobody's child: no zombie waits for a parent, and
the end of the parent is the end of the socket and nothing else. Messages are whole (SOCK_SEQPACKET, unix(7)).
"""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Final

from stages.net import privileges

#: The folder that holds the package: the helper runs elsewhere, and imports nothing from where it was started.
_ROOT: Final = Path(__file__).resolve().parents[2]

#: Python starts in a tenth of a second; a machine that is overloaded may take long, a hung one must not hang us.
START_SECONDS: Final = 30.0


def start(module: str, capability: int) -> socket.socket:
    """Start `module`; the calling thread has `capability`, and the helper keeps it alone. Blocking socket with timeout.

    It stands in the network namespace of the calling thread. Raises OSError: EPERM, the thread has no such capability.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    failure: list[OSError] = []

    def spawn() -> None:  # in a thread of its own: what is handed down for this is handed down to nothing else
        try:
            if not privileges.capabilities() >> capability & 1:
                raise PermissionError(errno.EPERM, f"no capability {capability}")
            try:
                privileges.hand_down(capability)
            except OSError:
                if os.geteuid() != 0:  # the superuser's programs have it without
                    raise
            path = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH"))))
            code = subprocess.run(
                [sys.executable, "-P", "-m", module], stdin=theirs.fileno(), stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL, cwd="/", env={**os.environ, "PYTHONPATH": path}, start_new_session=True,
                timeout=START_SECONDS, check=False,
            ).returncode  # fmt: skip
            if code:
                raise OSError(errno.EIO, f"{module} cannot be started: it ended with {code}")
        except subprocess.TimeoutExpired:
            failure.append(OSError(errno.EIO, f"{module} did not start within {START_SECONDS:.0f} s"))
        except OSError as error:
            # EPERM is said of the capability alone: that the interpreter may not be run is another matter.
            failure.append(OSError(errno.EIO, f"{error.filename}: {error.strerror}") if error.filename else error)

    try:
        thread = threading.Thread(target=spawn, name="helper-start")
        thread.start()
        thread.join()
    finally:
        theirs.close()
    if failure:
        ours.close()
        raise failure[0]
    ours.settimeout(START_SECONDS)
    return ours


def detach(capability: int) -> socket.socket:
    """In the helper, first of all: keep `capability` alone, let the starter go on. The socket to it.

    Raises OSError; what ends the process then is the starter's answer.
    """
    privileges.drop(1 << capability)
    if os.fork():
        os._exit(0)
    peer = socket.socket(fileno=os.dup(0))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)  # a program started from here does not hold the socket
    os.close(nothing)
    return peer
