"""`longline scan --self-test` and `--benchmark`: is this installation sound here, and how fast."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from stages.scanner.selftest import Result

#: What is scanned in the network that the self-test makes; and how long that may take.
_PREFIX: Final = "10.64.0.0/22"
_SECONDS: Final = 120.0


def self_test() -> int:
    """A line for each check; 1 if one of them failed."""
    from stages.scanner import selftest

    failed = False
    for result in (*selftest.run(), *selftest.run((("packets", _packets),))):
        _say(result)
        failed |= result.state == "FAIL"
    return int(failed)


def _say(result: Result) -> None:
    sys.stdout.write(result.line + "\n")
    sys.stdout.flush()


def _packets() -> str:
    """A scan in a network of its own: sender, ring, filter and validation, against what is known to stand there."""
    from stages.scanner.selftest import Skip, Wrong
    from stages.simnet.network import NamespacesClosed, Simnet
    from stages.simnet.responder_spec import Responder
    from stages.simnet.spec import Spec

    shares = {"synack": 0.3, "rst": 0.3, "wrong_ack": 0.1, "bad_checksum": 0.1, "icmp_8": 0.1}
    spec = Spec(servers=False, rules=False, responder=Responder((_PREFIX,), shares))
    try:
        with Simnet(spec) as net, tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "found"
            scan = [sys.executable, "-m", "stages.cli.main", "scan", "-q", "-p", "80", "-c", "1", "-o", str(out)]
            program = net.run([*scan, _PREFIX], stderr=subprocess.PIPE, text=True)
            try:
                _, told = program.communicate(timeout=_SECONDS)
            except subprocess.TimeoutExpired:
                raise Wrong(f"a scan of {_PREFIX} has not ended after {_SECONDS:.0f} s") from None
            if program.returncode:
                raise Wrong(f"a scan ended with {program.returncode}: {told.strip().splitlines()[-1:]}")
            found = sorted(int(IPv4Address(line)) for line in _lines(out))
            truth = net.responder_truth()
            addresses = truth.addresses()
            there = addresses[truth.successes(addresses, 80)].tolist()
    except NamespacesClosed as error:
        raise Skip(f"no network of its own: {error}") from None
    if found != there:
        raise Wrong(f"{len(there)} of {len(addresses)} targets are open, and {len(found)} were found")
    return f"{len(found)} open targets of {len(addresses)} found, exactly"


def _lines(file: Path) -> Iterator[str]:
    return (line for line in file.read_text().split() if line != "saddr")


def benchmark() -> int:
    """Three figures."""
    from stages.scanner import benchmark as figures

    for name, figure in (
        ("frames built", figures.frames),
        ("answers validated", figures.answers),
        ("answers filtered", figures.filtered),
    ):
        sys.stdout.write(f"{name}: {figure() / 1e6:.2f} M/s on one core\n")
        sys.stdout.flush()
    return 0
