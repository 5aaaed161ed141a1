"""The guard: with LONGLINE_CONFINE=1 nothing leaves this host.

Tests, the demo and the benchmarks set the variable. Then an address may be dialled only if it is loopback (127.0.0.0/8,
::1; RFC 1122 3.2.1.3, RFC 4291 2.5.3), or if this network namespace was made by simnet: simnet puts a link named
`longline-sim` into each of its namespaces, and a namespace that carries it has no way out into the real network. Where
it can be seen that this is the machine's own namespace, that of process 1, the marker is not believed.

Whoever opens a connection, sends a datagram or a frame calls `check_address` or `check_packets` first, in the thread
that makes the socket: a network namespace belongs to a thread (namespaces(7)), so the answer is kept for each thread.
The environment is read once, the links once for each thread; after setns(2) or unshare(2) call `forget`.
"""

from __future__ import annotations

import errno
import os
import socket
import threading
from typing import Final

#: Set to anything but the empty string or `0`: confined.
VARIABLE: Final = "LONGLINE_CONFINE"

#: The link that marks a namespace as simnet's. At most 15 bytes (IFNAMSIZ - 1).
MARKER: Final = "longline-sim"

#: The loopback interface, from which no frame leaves this host.
LOOPBACK: Final = "lo"

#: The kernel's number of the first PID namespace (PROC_PID_INIT_INO, linux/proc_ns.h).
_MACHINES_PROCESSES: Final = 0xEFFFFFFC

_LOOPBACK_NET: Final = 127
_LOOPBACK_V6: Final = bytes(15) + b"\x01"
_MAPPED_V6: Final = bytes(10) + b"\xff\xff"


class ConfinedError(OSError):
    """LONGLINE_CONFINE is set, and what was asked for would leave this host. `errno` is EPERM."""

    def __init__(self, what: str) -> None:
        super().__init__(
            errno.EPERM,
            f"{VARIABLE} is set: {what} is not loopback, and this network namespace was not made by longline simnet",
        )
        self.what = what


class _Answers(threading.local):
    """What this thread found out: `generation` tells whether it is still to be believed."""

    generation: int = -1
    marked: bool = False


_answers: Final = _Answers()
_generation = 0
_confined: bool | None = None


def confined() -> bool:
    """Whether LONGLINE_CONFINE is set. The environment is read once for the process."""
    global _confined
    if _confined is None:
        _confined = os.environ.get(VARIABLE, "") not in ("", "0")
    return _confined


def marked() -> bool:
    """Whether the network namespace of this thread carries simnet's marker. Read once for each thread."""
    if _answers.generation != _generation:
        _answers.marked = any(name == MARKER for _, name in socket.if_nameindex()) and not _of_the_machine()
        _answers.generation = _generation
    return _answers.marked


def _of_the_machine() -> bool:
    """Whether this thread stands in the namespace of process 1, which is never simnet's: a marker there is an accident.

    False where it cannot be known: process 1 may be hidden, from ordinary users always; in a container it is another.
    """
    try:
        if os.stat("/proc/self/ns/pid").st_ino != _MACHINES_PROCESSES:
            return False
        return os.path.samefile("/proc/1/ns/net", "/proc/thread-self/ns/net")
    except OSError:
        return False


def forget() -> None:
    """Read the environment and the links anew: after a change of namespace, in every thread."""
    global _generation, _confined
    _generation += 1
    _confined = None


def check_address(host: str) -> None:
    """Raise ConfinedError unless `host`, an address as text, may be dialled; a name is refused, whatever it means."""
    if _confined is False:
        return
    if not confined() or marked() or is_loopback(host):
        return
    raise ConfinedError(host)


def check_packets(interface: str) -> None:
    """Raise ConfinedError unless frames may be sent from `interface`."""
    if confined() and interface != LOOPBACK and not marked():
        raise ConfinedError(f"interface {interface}")


def is_loopback(host: str) -> bool:
    """Whether `host` is an address of the loopback range. False for names: `127.example.org` is one."""
    try:
        return socket.inet_pton(socket.AF_INET, host)[0] == _LOOPBACK_NET
    except OSError:
        pass
    try:
        packed = socket.inet_pton(socket.AF_INET6, host.partition("%")[0])
    except OSError:
        return False
    return packed == _LOOPBACK_V6 or (packed[:12] == _MAPPED_V6 and packed[12] == _LOOPBACK_NET)
