"""A scan that is killed again and again: one JSON object on standard input says how, one on standard output tells.

argv       words of the scan, as `tests.servers.run_scan` takes them; the same each time
checkpoint its file
lives      seconds from each start to its SIGKILL
last       words more for the run that is not killed, at the end
marks      seconds between two checkpoints; delay: what the ring may take to hand a packet over

Each run is a process of its own, forked from this one, which has loaded everything: it begins within some hundredths
of a second, and fifty kills do not take minutes. Told are the checkpoint's position after each kill (null: there was
none yet), and the last run's exit code.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

from stages.scanner import checkpoint, packets, watch
from tests.servers import run_scan


def child(words: list[str], errors: str) -> int:
    """Forks; the process id."""
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        file = os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(file, 1)
        os.dup2(file, 2)
        sys.argv = ["scan", *words]
        code = run_scan.main()
        sys.stderr.flush()
    finally:
        os._exit(code)


def load(errors: str) -> None:
    """Everything that a scan needs, kernels too: one that sends a packet and keeps nothing."""
    out, err = os.dup(1), os.dup(2)
    with open(errors, "w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.argv = ["scan", "-p", "80", "-c", "0", "--retries", "1", "--retry-interval", "0", "-q", "10.255.255.254"]
    code = run_scan.main()
    os.dup2(out, 1)
    os.dup2(err, 2)
    if code:
        sys.exit(f"it cannot even begin:\n{Path(errors).read_text()}")


def main() -> None:
    asked = json.load(sys.stdin)
    watch.MARK_SECONDS, packets.RING_DELAY = asked["marks"], asked["delay"]
    file, errors = asked["checkpoint"], asked["checkpoint"] + ".errors"
    load(errors)
    positions: list[int | None] = []
    for life in [0.0, *asked["lives"]]:
        resume = ["--resume", file] if Path(file).exists() else ["--checkpoint", file]
        pid = child([*asked["argv"], *resume], errors)
        time.sleep(life)
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        if not os.WIFSIGNALED(status):
            sys.exit(f"a run ended by itself:\n{Path(errors).read_text()}")
        positions.append(checkpoint.read(file).position if Path(file).exists() else None)
    resume = ["--resume", file] if Path(file).exists() else ["--checkpoint", file]
    _, status = os.waitpid(child([*asked["argv"], *resume, *asked["last"]], errors), 0)
    print(json.dumps({"positions": positions, "code": os.waitstatus_to_exitcode(status)}))


if __name__ == "__main__":
    main()
