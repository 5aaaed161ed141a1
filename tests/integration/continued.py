"""One measurement in the namespaces of `tests.servers`, three ways: by `scan --grab` (raw), by `scan --hold` and
`bannergrab --via adopt`, and by ordinary connections (`bannergrab`). Records by address and port; what was on the wire.
"""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.servers.capture import read
from tests.servers.faults import Faulty
from tests.servers.judge import Judged, judge
from tests.servers.veth import Veth

LONGLINE: Final = (sys.executable, "-m", "stages.cli.main")
#: Compiling the engine, where nobody has done it, on a machine that has other things to do.
PATIENCE_S: Final = 900.0
#: Those of the scanner that these tests use; all of one scan's, and of nobody else's: the kernel of this host takes its
#: own from below. Many, for a server in TIME-WAIT does not take a SYN from the same port with a lower number for new.
SOURCE_PORTS: Final = (61_000, 65_535)

Key = tuple[str, int]


@dataclass(frozen=True)
class Words:
    """What is said on a connection: a payload, or nothing; and the times."""

    payload: bytes | None
    wait: float | None = None
    read: float = 6.0
    idle: float = 1.5
    total: float = 30.0
    most: int = 65_536
    more: tuple[str, ...] = ()  #: of the scan alone

    def options(self, folder: Path) -> list[str]:
        words = ["--read-timeout", f"{self.read}", "--idle-timeout", f"{self.idle}"]
        words += ["--total-timeout", f"{self.total}", "--max-bytes", f"{self.most}"]
        return words if self.wait is None else [*words, "--wait", f"{self.wait}"]

    def file(self, folder: Path) -> Path:
        assert self.payload is not None
        file = folder / "payload"
        file.write_bytes(self.payload)
        return file


@dataclass
class Heard:
    """Banner records by target, and what the scan said of itself."""

    records: dict[Key, dict[str, Any]] = field(default_factory=dict)
    hits: set[Key] = field(default_factory=set)
    told: str = ""

    def data(self, key: Key) -> bytes:
        return base64.b64decode(self.records[key].get("data") or "")

    def gist(self, key: Key) -> tuple[Any, ...]:
        """What must be the same whichever way it was heard."""
        record = self.records[key]
        return record["outcome"], record.get("truncated"), self.data(key)


def parse(text: str, told: str) -> Heard:
    heard = Heard(told=told)
    for line in text.splitlines():
        record = json.loads(line)
        key = (record["ip"], record["port"])
        if "outcome" in record:
            assert key not in heard.records, f"two records of {key}"
            heard.records[key] = record
        else:
            heard.hits.add(key)
    return heard


def by_scan(net: Veth, folder: Path, targets: str, ports: Sequence[int], words: Words, *more: str) -> Heard:
    """`longline scan --grab`."""
    what = "wait" if words.payload is None else str(words.file(folder))
    argv = [
        *LONGLINE, "scan", "-p", ",".join(map(str, ports)), "--grab", what, *words.options(folder), "-s",
        "{}-{}".format(*SOURCE_PORTS), "--engine", "packet", "-r", "2000", "-c", "4", *words.more, *more, targets,
    ]  # fmt: skip
    done = net.near(*argv, timeout=PATIENCE_S)
    return parse(done.stdout, done.stderr)


def by_connect(net: Veth, folder: Path, keys: Sequence[Key], words: Words, *more: str, stdin: str = "") -> Heard:
    """`longline bannergrab`, which dials; or goes on with the hits on its standard input, if `more` says so."""
    what = ["--wait", "9"] if words.payload is None else ["-d", str(words.file(folder))]
    lines = stdin or "".join(f"{ip},{port}\n" for ip, port in keys)
    argv = [*LONGLINE, "bannergrab", "-f", "json", "--per-prefix", "0", "--per-host", "100", *words.options(folder)]
    if words.payload is not None:
        argv += what
    done = net.near(*argv, *more, input=lines, timeout=PATIENCE_S)
    return parse(done.stdout, done.stderr)


def resets_of_the_kernel(net: Veth) -> int:
    """RSTs that the kernel of the near side has sent since it began (`OutRsts` of /proc/net/snmp)."""
    names, values = [
        line.split() for line in net.near("cat", "/proc/net/snmp").stdout.splitlines() if line.startswith("Tcp:")
    ]
    return int(dict(zip(names, values, strict=True))["OutRsts"])


@contextmanager
def watched(net: Veth, folder: Path, *, finished: bool) -> Iterator[Judged]:
    """What comes out of near0 and goes there while the block runs, judged; and no RST of the kernel's. Filled at its
    end."""
    file, judged = folder / "capture", Judged()
    before = resets_of_the_kernel(net)
    pid, other_end = (net.middle_pid, "to-near") if isinstance(net, Faulty) else (net.far_pid, "far0")
    with net.program(pid, sys.executable, "-m", "tests.servers.capture", other_end, str(file), ready="ready"):
        yield judged
    seen = judge(read(file), SOURCE_PORTS, finished=finished)
    judged.wrong, judged.flows = seen.wrong, seen.flows
    # Where packets are lost a server repeats its FIN when the scan has ended, and is told by the kernel.
    allowed = seen.late_resets if isinstance(net, Faulty) else 0
    assert resets_of_the_kernel(net) - before <= allowed, "the kernel has sent RSTs"


def sysctl(net: Veth, values: Mapping[str, object]) -> None:
    """Settings of the far side's kernel."""
    if values:
        net.far("sysctl", "-qw", *(f"net.ipv4.{name}={value}" for name, value in values.items()))
