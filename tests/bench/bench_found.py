"""What is found at which rate, beside Debian's zmap: `python -m tests.bench.bench_found`.

Every address of the responder answers every SYN. Both programs scan whole prefixes, in turns, at rising rates. ZMap's
figure is the highest rate at which it found 99.99 % of a prefix, ours the highest at which what was found is the truth,
exactly; a rate is what was really sent: probes that the responder saw, over the time in which they came. Then once at
full speed: what was found and what is counted as lost, at each place where a packet can be lost, must be the truth.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from ipaddress import IPv4Address
from pathlib import Path
from typing import NamedTuple

from stages.simnet.network import Simnet
from stages.simnet.responder_spec import Responder
from stages.simnet.spec import Spec
from stages.simnet.wiring import FAR_LINK, NEAR_ADDRESS, NEAR_LINK, RESPONDER_MAC
from tests.bench.rows import measured
from tests.require import require

BASE = 0x0A400000  # 10.64.0.0
#: Low enough for ZMap, which on a slow machine misses one in some thousands at 40,000 already.
FIRST_RATE = 10_000
STEP = 1.6
#: A rate at which a program failed is tried so often before it counts as failed: the machine has other things to do.
TRIES = 2
MAX_STEPS = 12
SECONDS = 1.5
ENOUGH = 0.9999
BAR = 2.5
UNEXPLAINED = 0.001
ROUNDS = 2
LOOK_S = 0.05
COOLDOWN = "1"
#: For the account: no RSTs of the near kernel, which would be lost here and there too.
_QUIET = """
add table inet guard
add chain inet guard input { type filter hook input priority -300; }
add rule inet guard input meta l4proto tcp drop
"""


class Run(NamedTuple):
    rate: float  #: probes a second that arrived, while they came
    found: set[int]
    targets: int
    told: str  #: standard error
    counters: dict[str, int]  #: of the responder, what this run added


def prefix(rate: float) -> tuple[str, int]:
    """A prefix that takes about SECONDS at this rate."""
    bits = max(int(rate * SECONDS) - 1, 1).bit_length() if rate else 20
    return f"{IPv4Address(BASE)}/{32 - bits}", 1 << bits


def longline(rate: float, out: Path, *more: str) -> list[str]:
    scan = (sys.executable, "-m", "stages.cli.main", "scan")
    return [*scan, "-p", "80", "-r", f"{rate:.0f}", "-c", COOLDOWN, "-q", "-o", str(out), *more, prefix(rate)[0]]


def zmap(rate: float, out: Path) -> list[str]:
    return [
        "zmap", "-p", "80", "-i", NEAR_LINK, "-S", NEAR_ADDRESS, "-G", RESPONDER_MAC, "-r", f"{rate:.0f}",
        "-c", COOLDOWN, "-b", "/dev/null", "-q", "-v", "1", "--disable-syslog", "-o", str(out), prefix(rate)[0],
    ]  # fmt: skip


def run(net: Simnet, make: Callable[..., list[str]], rate: float, *more: str) -> Run:
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "told").open("w+") as told:
        out = Path(folder) / "found"
        before = net.responder_counters()
        samples = [(time.monotonic(), before["syn"])]
        program = net.run(make(rate, out, *more), stdin=subprocess.DEVNULL, stdout=told, stderr=told)
        while program.poll() is None:
            time.sleep(LOOK_S)
            samples.append((time.monotonic(), net.responder_counters()["syn"]))
        told.seek(0)
        text = told.read()
        if program.returncode:
            raise SystemExit(f"{make.__name__} failed:\n{text}")
        after = net.responder_counters()
        lines = out.read_text().split()
        found = {int(IPv4Address(line)) for line in lines if line != "saddr"}
    moving = [i for i in range(1, len(samples)) if samples[i][1] > samples[i - 1][1]]
    (begin, first), (end, last) = samples[moving[0] - 1], samples[moving[-1]]
    return Run((last - first) / (end - begin), found, prefix(rate)[1], text, {k: after[k] - before[k] for k in after})


def highest(net: Simnet, make: Callable[..., list[str]], enough: Callable[[Run], bool]) -> float:
    """The highest rate, really sent, that was good enough; 0 if none was."""
    best, rate = 0.0, float(FIRST_RATE)
    for _ in range(MAX_STEPS):
        good = [one for one in (run(net, make, rate) for _ in range(TRIES)) if enough(one)]
        if not good:
            break
        reached = max(one.rate for one in good)
        best = max(best, reached)
        print(f"  {make.__name__} {rate:,.0f} asked, {reached:,.0f} a second sent: enough", flush=True)
        if reached < 0.6 * rate:  # it sends no faster than that
            break
        rate *= STEP
    return best


def exactly(one: Run) -> bool:
    return one.found == set(range(BASE, BASE + one.targets))


def nearly(one: Run) -> bool:
    return len(one.found) >= ENOUGH * one.targets


def dropped(net: Simnet) -> int:
    """Packets that the two ends of the veth pair could not hand over."""
    total = 0
    for start, link in ((net.run, NEAR_LINK), (net.far_run, FAR_LINK)):
        shown = start(["ip", "-j", "-s", "link", "show", link], stdout=subprocess.PIPE).communicate()[0]
        stats = json.loads(shown)[0]["stats64"]
        total += stats["tx"]["dropped"] + stats["rx"]["dropped"]
    return total


def account(net: Simnet) -> float:
    """The share of the truth that is neither found nor counted as lost, at full speed."""
    before = dropped(net)
    one = run(net, longline, 0, "--send-rst", "never")
    links = dropped(net) - before
    match = re.search(r"(\d+) packets dropped by this host", one.told)
    ours = int(match[1]) if match else 0
    theirs = one.counters["ring_drops"]
    explained = len(one.found) + links + ours + theirs
    print(f"  full speed: {one.targets:,} probed at {one.rate:,.0f} a second, {len(one.found):,} found", flush=True)
    print(f"  lost: {links:,} on the links, {theirs:,} by the responder, {ours:,} by the scanner", flush=True)
    return abs(one.targets - explained) / one.targets


def main() -> int:
    require(shutil.which("zmap") and shutil.which("nft"), "needs Debian's zmap and nftables")
    responder = Responder(("10.64.0.0/10",), {"bare": 1.0})
    with Simnet(Spec(servers=False, rules=False, responder=responder)) as net:
        run(net, longline, FIRST_RATE)  # compiles
        ours, theirs = [], []
        for _ in range(ROUNDS):
            theirs.append(highest(net, zmap, nearly))
            ours.append(highest(net, longline, exactly))
        measured("ZMap: highest rate at which it finds 99.99 %", [rate / 1e3 for rate in theirs], "kpps")
        measured("longline: highest rate at which it finds all, exactly", [rate / 1e3 for rate in ours], "kpps")
        if not min(theirs):
            raise SystemExit("ZMap found enough at no rate: there is nothing to compare with")
        ratios = [mine / its for mine, its in zip(ours, theirs, strict=True)]
        # Other programs on the machine only slow: the best of each.
        good = measured("longline / ZMap", ratios, "", bar=BAR, judged=max(ours) / max(theirs))
        net.run(["nft", "-f", "-"], stdin=subprocess.PIPE).communicate(_QUIET.encode())
        missing = [account(net) * 100 for _ in range(ROUNDS)]
        good &= measured(
            "full speed: neither found nor counted as lost", missing, "%", bar=UNEXPLAINED * 100, at_most=True
        )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
