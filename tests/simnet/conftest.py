"""A small simulated Internet for the tests of this folder, and a way to run a program as an ordinary user."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stages.simnet.network import NamespacesClosed, Simnet
from stages.simnet.spec import Spec
from stages.simnet.truth import Shares
from tests.require import require

#: Dense enough that 1,024 addresses hold every kind on every port.
SIMNET_SPEC = Spec(
    seed=3,
    targets=("10.0.0.0/22",),
    shares=Shares(open=0.4, filtered=0.1, rejected=0.2, limited=0.3, mute=0.5),
    local=("10.0.0.0/8", "2001:db8:77::/48"),
)


def until(condition: Callable[[], object], seconds: float = 15.0) -> bool:
    """Wait until `condition` holds; False when it does not within `seconds`."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


@pytest.fixture(scope="session")
def simnet_small() -> Iterator[Simnet]:
    """Built once for all tests that only look at it."""
    require(shutil.which("nft", path="/usr/sbin:/sbin:" + os.environ.get("PATH", "")), "nftables")
    net = Simnet(SIMNET_SPEC)
    try:
        net.start()
    except NamespacesClosed as error:
        require(False, str(error))
    with net:
        yield net


@pytest.fixture(scope="session")
def simnet_root(simnet_small: Simnet) -> Simnet:
    """The same, for tests that enter it with their own thread."""
    require(os.geteuid() == 0, "root, to enter a namespace and come back")
    return simnet_small


def _closed_top(path: Path) -> Path | None:
    """The first folder above `path` that others may not pass."""
    for folder in [*reversed(path.parents), path]:
        if not folder.stat().st_mode & 0o001:
            return folder
    return None


@pytest.fixture
def as_nobody(tmp_path: Path) -> Callable[[list[str]], list[str]]:
    """Wraps a command so that it runs as an ordinary user without any capability.

    Where the interpreter or this tree is below a folder that others may not pass (/root), the command gets a mount
    namespace of its own, in which that folder is an empty one with only those parts bound into it.
    """
    require(os.geteuid() == 0, "root, to become another user")
    require(shutil.which("setpriv") and shutil.which("unshare"), "setpriv and unshare (util-linux)")
    needed = {Path(p).resolve() for p in (sys.base_prefix, sys.prefix, Path(__file__).parents[2])}
    tops = {top for p in needed if (top := _closed_top(p)) is not None}
    lines = []
    for n, path in enumerate(sorted(p for p in needed if _closed_top(p) is not None)):
        lines.append(f"mkdir {tmp_path}/{n}; mount --rbind {shlex.quote(str(path))} {tmp_path}/{n}")
    lines += [f"mount -t tmpfs -o mode=755 tmpfs {shlex.quote(str(top))}" for top in sorted(tops)]
    for n, path in enumerate(sorted(p for p in needed if _closed_top(p) is not None)):
        quoted = shlex.quote(str(path))
        lines.append(f"mkdir -p {quoted}; mount --rbind {tmp_path}/{n} {quoted}")
    drop = 'exec setpriv --reuid=65534 --regid=65534 --clear-groups --bounding-set=-all --inh-caps=-all -- "$@"'
    script = "\n".join(["set -e", *lines, "cd /", drop])

    def wrap(argv: list[str]) -> list[str]:
        return ["unshare", "--mount", "sh", "-c", script, "sh", *argv]

    return wrap
