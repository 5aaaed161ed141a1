"""Run `longline` as a user does: a process of its own, its output and its exit code."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

#: Seconds that any command of these tests may take.
PATIENCE = 90


def longline(
    *words: str | Path, stdin: str | bytes = b"", cwd: Path | None = None, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run it to its end; text in and out."""
    text = stdin.decode() if isinstance(stdin, bytes) else stdin
    return subprocess.run(
        argv(*words),
        input=text,
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "LONGLINE_CONFINE": "1", **(env or {})},
        timeout=PATIENCE,
        check=False,
    )


def argv(*words: str | Path) -> Sequence[str]:
    return [sys.executable, "-m", "stages.cli.main", *map(str, words)]
