"""nft(8), the program: asked, told, and its refusals sorted."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from typing import Final

#: An ordinary user's PATH often leaves out where nft is.
SYSTEM_PATH: Final = ("/usr/local/sbin", "/usr/sbin", "/sbin")
#: A transaction of ours takes milliseconds; while others load large rule sets it waits for them.
SECONDS: Final = 20.0
#: What nft says when the kernel refuses for want of CAP_NET_ADMIN.
_FORBIDDEN: Final = ("operation not permitted", "permission denied")
#: What it says when the kernel has no nf_tables at all.
_ABSENT: Final = ("protocol not supported", "unable to initialize netlink socket", "address family not supported")


class FirewallError(OSError):
    """The kernel cannot be kept quiet. The text says why."""

    def __init__(self, text: str, number: int = errno.EIO) -> None:
        super().__init__(number, text)


class Missing(FirewallError):
    """There is no nft here, or the kernel has no nf_tables. `errno` is ENOENT."""

    def __init__(self, text: str) -> None:
        super().__init__(text, errno.ENOENT)


class Forbidden(FirewallError):
    """nft may not be used: CAP_NET_ADMIN is missing. `errno` is EPERM."""

    def __init__(self, text: str) -> None:
        super().__init__(text, errno.EPERM)


class Exists(FirewallError):
    """A table of that name is there already. `errno` is EEXIST."""

    def __init__(self, text: str) -> None:
        super().__init__(text, errno.EEXIST)


class Absent(FirewallError):
    """There is no table of that name. `errno` is ENOENT."""

    def __init__(self, text: str) -> None:
        super().__init__(text, errno.ENOENT)


def program() -> str:
    """Where nft is. Raises Missing."""
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), *SYSTEM_PATH))
    found = shutil.which("nft", path=path)
    if found is None:
        raise Missing("nft (nftables) is not installed: the kernel's resets of half-open connections cannot be stopped")
    return os.path.abspath(found)


def run(nft: str, *argv: str, text: str = "") -> str:
    """What nft prints. Raises FirewallError or what is derived from it."""
    try:
        done = subprocess.run(
            [nft, *argv], input=text, capture_output=True, text=True, timeout=SECONDS, check=False,
            env={**os.environ, "LC_ALL": "C"},
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise FirewallError(f"{nft} did not end within {SECONDS:.0f} s") from None
    except OSError as error:
        raise Missing(f"{nft} cannot be started: {error.strerror or error}") from error
    if done.returncode:
        raise refusal(nft, done.stderr)
    return done.stdout


def refusal(nft: str, said: str) -> FirewallError:
    """What nft's complaint means."""
    lines = [line.strip() for line in said.splitlines() if line.strip()] or ["it said nothing"]
    reason = next((line for line in lines if "error" in line.lower()), lines[0])
    low = said.lower()
    if any(part in low for part in _FORBIDDEN):
        return Forbidden(f"nft may not change rules here (CAP_NET_ADMIN): {reason}")
    if any(part in low for part in _ABSENT):
        return Missing(f"the kernel has no nf_tables: {reason}")
    if "json support not compiled" in low:
        return Missing(f"this nft cannot say what the kernel holds: {reason}")
    if "file exists" in low:
        return Exists(reason)
    if "no such file or directory" in low:
        return Absent(reason)
    return FirewallError(f"{nft} refused: {reason}")
