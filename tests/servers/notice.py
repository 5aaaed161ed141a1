"""`longline notice serve` as a process of its own, on free ports of loopback."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.cli.command import argv, longline
from tests.docs.blocks import ROOT

PATIENCE: Final = 60.0

#: The file that users begin with.
NOTICE: Final = ROOT / "deploy/notice/notice.toml"


@dataclass(frozen=True, slots=True)
class Served:
    """Where it is, and the folder that it works in."""

    http: int
    https: int
    folder: Path
    pid: int

    def invite(self, name: str) -> str:
        """The path of a link to the form."""
        ran = longline("notice", "invite", name, "--notice", NOTICE, cwd=self.folder)
        assert ran.returncode == 0, ran.stderr
        found = re.fullmatch(r"https://scan\.measurement\.example(/invite/[A-Z2-7]{32})\n", ran.stdout)
        assert found is not None, ran.stdout
        return found[1]


@contextmanager
def served(folder: Path, *more: str | Path, notice: Path = NOTICE) -> Iterator[Served]:
    words = ("notice", "serve", notice, "--http", "127.0.0.1:0", "--https", "127.0.0.1:0", *more)
    log = folder / "notice.log"
    with log.open("wb") as out:
        process = subprocess.Popen(argv(*words), cwd=folder, stdout=out, stderr=out)
    try:
        end = time.monotonic() + PATIENCE
        while len(found := re.findall(r"the notice is at (https?)://127\.0\.0\.1:(\d+)/", log.read_text())) < 2:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.05)
        ports = {scheme: int(port) for scheme, port in found}
        yield Served(ports["http"], ports["https"], folder, process.pid)
        process.terminate()
        assert process.wait(PATIENCE) == 143, log.read_text()
        assert "Traceback" not in log.read_text()
    finally:
        process.kill()
        process.wait()
