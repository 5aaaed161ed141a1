"""Namespaces without names: unshare(2), setns(2) and prctl(2) by ctypes (os.unshare is new in Python 3.12).

A network namespace lives as long as a process stands in it or a descriptor holds it; none is given a name in
/run/netns, so nothing can be left behind. Without privilege a user namespace comes first, in which we are root, and
which owns the network namespaces made in it (user_namespaces(7)).
"""

from __future__ import annotations

import ctypes
import errno
import os
import signal
from pathlib import Path
from typing import Final

CLONE_NEWUSER: Final = 0x10000000
CLONE_NEWNET: Final = 0x40000000

_PR_SET_PDEATHSIG: Final = 1

_libc: Final = ctypes.CDLL(None, use_errno=True)


class NamespaceError(OSError):
    """The kernel, or who runs this machine, does not let us make or enter a namespace."""


def _call(what: str, result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise NamespaceError(number, f"{what}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    """Move this thread into new namespaces. CLONE_NEWUSER wants a process of one thread."""
    _call("unshare", _libc.unshare(flags))


def setns(descriptor: int, kind: int) -> None:
    """Move this thread into the namespace behind an open /proc/PID/ns/* file."""
    _call("setns", _libc.setns(descriptor, kind))


def die_with(parent: int) -> None:
    """Be killed when `parent`, which has just forked us, ends (prctl(2), PR_SET_PDEATHSIG); at once if it has ended.

    The kernel means the thread that forked, and forgets the wish when credentials change: call it after `unshare`.
    """
    _call("prctl", _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def network_id(pid: int | str = "self") -> int:
    """The inode of the network namespace of a process. Raises OSError when it is gone or not ours to see."""
    return os.stat(f"/proc/{pid}/ns/net").st_ino


def become_root() -> None:
    """Enter a new user namespace as its root. Raises NamespaceError with what may be in the way."""
    user, group = os.geteuid(), os.getegid()
    try:
        unshare(CLONE_NEWUSER)
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {user} 1")
        Path("/proc/self/gid_map").write_text(f"0 {group} 1")
    except OSError as error:
        raise NamespaceError(error.errno, _closed(error)) from None


def new_network() -> bool:
    """Enter a new network namespace, through a user namespace if need be; says whether it was needed.

    Raises NamespaceError. Never returns in the namespace it was called in: what follows marks and rewires it.
    """
    before = network_id()
    through_user = False
    try:
        unshare(CLONE_NEWNET)
    except NamespaceError as error:
        if error.errno != errno.EPERM:
            raise
        become_root()
        through_user = True
        try:
            unshare(CLONE_NEWNET)
        except NamespaceError as inner:
            raise NamespaceError(inner.errno, _closed(inner)) from None
    if network_id() == before:
        raise NamespaceError(errno.EINVAL, "unshare(2) left this process in the network namespace it was in")
    return through_user


def _closed(error: OSError) -> str:
    """Why an ordinary user gets no namespace, as far as it can be seen."""
    reasons = {
        "/proc/sys/kernel/unprivileged_userns_clone": "0",
        "/proc/sys/user/max_user_namespaces": "0",
        "/proc/sys/user/max_net_namespaces": "0",
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1",
    }
    for file, closed in reasons.items():
        try:
            if Path(file).read_text().strip() == closed:
                return f"namespaces are closed to this user: {file} is {closed}"
        except OSError:
            continue
    return f"namespaces are closed to this user: {error.strerror or error}"
