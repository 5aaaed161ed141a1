"""Where a block is played: an empty folder, a namespace, and what every command said."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from stages.simnet.network import Simnet

#: Beside the interpreter, where pip puts `longline`.
BIN: Final = str(Path(sys.executable).parent)

#: Seconds that any command, and anything that is waited for, may take; machines are busy.
PATIENCE: Final = 90.0


@dataclass(frozen=True, slots=True)
class Said:
    """One command that has ended."""

    command: str  #: as typed
    code: int
    out: str
    err: str


@dataclass
class Stage:
    """One block under way. `net` None: this process's own namespace."""

    folder: Path
    net: Simnet | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    said: list[Said] = field(default_factory=list)
    _background: list[tuple[str, subprocess.Popen[Any], Path]] = field(default_factory=list)

    def _start(self, command: str, **how: Any) -> subprocess.Popen[Any]:
        path = f"{BIN}:{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
        how["env"] = {**os.environ, "LONGLINE_CONFINE": "1", **self.environment, "PATH": path}
        argv = ["bash", "-o", "pipefail", "-c", command]
        start = subprocess.Popen if self.net is None else self.net.run
        return start(argv, cwd=self.folder, stdin=subprocess.DEVNULL, **how)

    def type(self, command: str) -> None:
        """Run a line to its end, or start it where it ends in `&`. A failure of it is a failure of the test."""
        if command.endswith("&"):
            log = self.folder / f"background{len(self._background)}.log"
            with log.open("wb") as out:
                exec_ = f"exec {command.removesuffix('&').strip()}"
                self._background.append((command, self._start(exec_, stdout=out, stderr=out), log))
            return
        said = self.run(command)
        assert said.code == 0, f"{command}\nended with {said.code}\n{said.err}\n{said.out[-2000:]}\n{self.logs()}"
        self.said.append(said)

    def run(self, command: str) -> Said:
        """Run a line that stands in no document."""
        process = self._start(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            out, err = process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise AssertionError(f"not within {PATIENCE:.0f} s: {command}\n{self.logs()}") from None
        return Said(command, process.returncode, out, err)

    def documents(self, collection: str, store: str) -> list[dict[str, Any]]:
        """What `longline query` reads of a store; none while nothing was stored."""
        said = self.run(f"longline query {collection} --store {store} --json --limit 0")
        return [json.loads(line) for line in said.out.splitlines()]

    def get(self, port: int, path: str) -> tuple[int, str]:
        """(status, body) of one of a stage's own pages; (0, "") while nobody answers."""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            with self.net.inside() if self.net is not None else nullcontext():
                connection.connect()
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except (OSError, http.client.HTTPException):
            return 0, ""
        finally:
            connection.close()

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Wait until `condition` holds; fail when it does not in time, or a line in the background has ended."""
        end = time.monotonic() + PATIENCE
        while not condition():
            ended = [command for command, process, _ in self._background if process.poll() is not None]
            assert not ended, f"{ended} ended\n{self.logs()}"
            assert time.monotonic() < end, f"not within {PATIENCE:.0f} s: {what}\n{self.logs()}"
            time.sleep(0.2)

    def logs(self) -> str:
        """What the lines in the background have said."""
        return "\n".join(f"--- {command}\n{log.read_text()[-2000:]}" for command, _, log in self._background)

    @contextmanager
    def running(self) -> Iterator[None]:
        """At the end of the block every line in the background is told to stop, and must drain and say so."""
        try:
            yield
            for _, process, _ in self._background:
                process.send_signal(signal.SIGTERM)
            for command, process, _ in self._background:
                code = process.wait(PATIENCE)
                assert code == 128 + signal.SIGTERM, f"{command} ended with {code}\n{self.logs()}"
        finally:
            for _, process, _ in self._background:
                process.kill()
                process.wait()
