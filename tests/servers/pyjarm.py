"""pyjarm, the peer of mode `jarm`: laid beside the environment, not into it.

Its wheel brings a package called `tests` of its own, which would stand before ours.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / ".cache" / "servers" / "pyjarm"

_SCAN = """
import sys
from jarm.scanner.scanner import Scanner
for address in sys.argv[1:]:
    host, _, port = address.rpartition(":")
    print(Scanner.scan(host, int(port), timeout=5, concurrency=1)[0])
"""


def pyjarm_home() -> Path:
    """Where it lies; fetched once."""
    if not (HOME / "jarm").is_dir():
        argv = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps"]
        argv += ["--require-hashes", "--target", str(HOME), "-r", str(ROOT / "requirements" / "pyjarm.txt")]
        subprocess.run(argv, check=True)
    return HOME


def pyjarm(targets: list[tuple[str, int]]) -> list[str]:
    """Its hash of each (address, port)."""
    environment = {**os.environ, "PYTHONPATH": str(pyjarm_home())}
    argv = [sys.executable, "-c", _SCAN, *(f"{host}:{port}" for host, port in targets)]
    ran = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=120, check=True)
    return ran.stdout.split()
