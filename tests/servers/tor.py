"""A Tor relay of its own, in a network namespace from which nothing leads anywhere."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

from tests.require import require

#: Seconds to make its keys and listen.
PATIENCE = 60.0

PORT = 9001

#: An authority that nobody is, in the place of those of the real network, which are out of reach here anyway.
_AUTHORITY = f"nobody orport=9 v3ident={'01234567' * 5} 127.0.0.1:9 {'01234567' * 5}"


@contextmanager
def tor_relay() -> Iterator[list[str]]:
    """The words that run a command where 127.0.0.1:PORT is the relay."""
    require(shutil.which("tor"), "tor (Debian: tor)")
    require(os.geteuid() == 0, "root, for a network namespace")
    with tempfile.TemporaryDirectory() as home:
        (Path(home) / "torrc").touch()
        log = Path(home) / "log"
        options = {
            "-f": f"{home}/torrc",
            "--defaults-torrc": f"{home}/torrc",
            "--DataDirectory": f"{home}/data",
            "--Log": f"notice file {log}",
            "--ORPort": f"127.0.0.1:{PORT} IPv4Only",
            "--Address": "127.0.0.1",
            "--SocksPort": "0",
            "--PublishServerDescriptor": "0",
            "--AssumeReachable": "1",
            "--TestingTorNetwork": "1",
            "--DirAuthority": _AUTHORITY,
        }
        words = [word for pair in options.items() for word in pair]
        argv = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec tor "$@"', "tor", *words]
        process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            end = monotonic() + PATIENCE
            while not (log.exists() and "Opened OR listener" in log.read_text()):
                assert process.poll() is None, log.read_text() if log.exists() else "tor ended"
                assert monotonic() < end
                sleep(0.05)
            yield ["nsenter", f"--net=/proc/{process.pid}/ns/net"]
        finally:
            process.terminate()
            process.wait(PATIENCE)
