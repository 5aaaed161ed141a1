"""The processes of a simulated Internet: `python -m stages.simnet.processes`, started by `network.Simnet`.

The *warden* stands in the near namespace and does nothing but keep it and watch its caller. Its child, the *far*
process, stands in the far namespace and serves. The caller holds the other end of the warden's standard input: when
that closes, whatever the reason (close, ^C, kill -9), the warden kills every process in its two namespaces and ends,
and with the last process the kernel takes the namespaces, the links and the rules away. The far process is also killed
by the kernel if the warden dies before it (PR_SET_PDEATHSIG).

    caller -> warden   one line of JSON, the spec; then `PID` lines, programs to be killed at the end; then nothing
    warden -> caller   one line of JSON: {"near": pid, "far": pid, "user": bool, "chains": [[sha256...]...],
                       "root": base64 DER, ...} or {"error": text, "closed": bool}
"""

from __future__ import annotations

import json
import os
import select
import signal
import time
from contextlib import suppress
from typing import Any, Final

from stages.simnet import namespaces

#: How often the warden looks whether its caller is still its parent: a forked child may hold the pipe open.
_LOOK_SECONDS: Final = 0.5

#: How long the sweep goes on killing; a process that is stuck in the kernel longer than this is left to it.
_SWEEP_SECONDS: Final = 5.0
_SWEEP_PAUSE: Final = 0.005

#: One read of the caller's lines.
_READ_BYTES: Final = 4096

_STDIN, _STDOUT = 0, 1

#: `spec.Mode.LOOPBACK`. The warden reads the spec as plain JSON: `spec` loads numpy, numpy starts threads, and a
#: process with threads may not enter a new user namespace (unshare(2), EINVAL).
_LOOPBACK: Final = "loopback"


def main() -> int:
    """The warden's life."""
    caller = os.getppid()
    line = _read_line(_STDIN)
    spec: dict[str, Any] = json.loads(line)
    apart = spec["mode"] != _LOOPBACK
    outside = namespaces.network_id()
    watched: dict[int, int] = {}
    far_process = 0
    ours: set[int] = set()
    try:
        user = namespaces.new_network() if apart else False
        far_process, ready, go = _fork_far(line)
        if apart:
            _expect(ready)
            ours = {namespaces.network_id(), namespaces.network_id(far_process)} - {outside}
            from stages.simnet import wiring

            try:
                ipv6 = any(":" in prefix for prefix in spec["local"])
                responder = (spec.get("responder") or {}).get("targets", ())
                wiring.near(far_process, ipv6=ipv6, responder=responder)
                os.write(go, b"\n")
            except OSError:
                if select.select([ready], [], [], _LOOK_SECONDS)[0]:
                    _expect(ready)  # the far process has ended, and says why
                raise
        report = _expect(ready)
        _say({"near": os.getpid(), "far": far_process, "user": user, **report})
        _watch(caller, ready, watched)
    except (OSError, ValueError) as error:
        closed = isinstance(error, namespaces.NamespaceError)
        with suppress(BrokenPipeError):
            _say({"error": str(getattr(error, "strerror", None) or error), "closed": closed})
        return 1
    finally:
        for descriptor in watched.values():
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        if far_process:
            with suppress(ProcessLookupError):
                os.kill(far_process, signal.SIGKILL)
            os.waitpid(far_process, 0)
        sweep(ours, spare={os.getpid(), caller})
    return 0


def _read_line(descriptor: int) -> bytes:
    """One line, byte by byte: what follows it belongs to another reader."""
    line = bytearray()
    while not line.endswith(b"\n"):
        byte = os.read(descriptor, 1)
        if not byte:
            break
        line += byte
    return bytes(line)


def _say(message: dict[str, Any]) -> None:
    os.write(_STDOUT, json.dumps(message).encode() + b"\n")


def _expect(ready: int) -> dict[str, Any]:
    """The next message of the far process. Raises what went wrong there."""
    line = _read_line(ready)
    if not line:
        raise OSError("the far process ended before it was ready")
    message: dict[str, Any] = json.loads(line)
    if "error" in message:
        raise (namespaces.NamespaceError if message["closed"] else OSError)(message["error"])
    return message


def _watch(caller: int, ready: int, watched: dict[int, int]) -> None:
    """Return when the caller is gone or has closed the pipe. Raises OSError when the far process ends first."""
    poll = select.poll()
    poll.register(_STDIN, select.POLLIN | select.POLLHUP)
    poll.register(ready, select.POLLIN | select.POLLHUP)
    lines = bytearray()
    while os.getppid() == caller:
        for descriptor, _ in poll.poll(_LOOK_SECONDS * 1000):
            if descriptor == ready:
                raise OSError("the far process ended")
            data = os.read(_STDIN, _READ_BYTES)
            if not data:
                return
            lines += data
        while (end := lines.find(b"\n")) >= 0:
            pid = int(lines[:end])
            del lines[: end + 1]
            _forget_ended(watched)
            with suppress(ProcessLookupError):
                watched[pid] = os.pidfd_open(pid)


def _forget_ended(watched: dict[int, int]) -> None:
    """A pidfd is readable once its process has ended (pidfd_open(2))."""
    poll = select.poll()
    for descriptor in watched.values():
        poll.register(descriptor, select.POLLIN)
    ended = {descriptor for descriptor, _ in poll.poll(0)}
    for pid, descriptor in list(watched.items()):
        if descriptor in ended:
            os.close(watched.pop(pid))


def sweep(networks: set[int], *, spare: set[int]) -> None:
    """Kill every process in these network namespaces, also those that come while we look, until there is none."""
    end = time.monotonic() + _SWEEP_SECONDS
    while networks and time.monotonic() < end:
        found = [pid for pid in standing_in(networks) if pid not in spare]
        if not found:
            return
        for pid in found:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(_SWEEP_PAUSE)


def standing_in(networks: set[int]) -> list[int]:
    """The processes in these network namespaces, as far as we may see them."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            with suppress(OSError):  # it has ended, or belongs to somebody else
                if namespaces.network_id(name) in networks:
                    found.append(int(name))
    return found


def _fork_far(line: bytes) -> tuple[int, int, int]:
    """Fork the far process: its pid, the pipe that it reports on, and the one on which it waits for its link."""
    warden = os.getpid()
    ready, report = os.pipe()
    wait, go = os.pipe()
    pid = os.fork()
    if pid:
        os.close(report)
        os.close(wait)
        return pid, ready, go
    os.close(ready)
    os.close(go)
    os.close(_STDIN)
    os.close(_STDOUT)
    os.open(os.devnull, os.O_RDWR)
    os.open(os.devnull, os.O_RDWR)
    from stages.simnet import far

    far.live(line, warden, report, wait)


if __name__ == "__main__":
    raise SystemExit(main())
