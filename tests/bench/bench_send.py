"""How fast each engine sends, beside Debian's zmap and masscan on the same veth: `python -m tests.bench.bench_send`.

All send TCP SYNs from one sender thread, unlimited, to addresses of 10.0.0.0/12. They go to a MAC address that is
nobody's, so the far side, whose work is done on the sender's core, drops them at its first look (cheaper than by a
rule), and what is measured is sending. The rate is taken at the far end: packets over the time between its first and
its last increase, its counters read each 20 ms; so neither program's start nor its cooldown counts. Over the same span
the CPU time of the process is taken, all threads together: what other programs on the machine do shows less in it. They
take turns; printed are minimum, median and maximum of the rounds. What else runs on the machine only slows, so a ratio
is that of the best rounds. Exit code 1 below a bar.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.bench.flood import NOBODY_MAC
from tests.require import require
from tests.servers.veth import FAR, NEAR, ROOT, Veth, environment, veth

TARGETS = "10.0.0.0/12"
PACKETS = 1 << 20
ROUNDS = 5
#: (ours, the peer, times its rate)
BARS = (("xdp", "zmap", 2.2), ("xdp", "masscan", 2.2), ("packet", "zmap", 1.3))
LOOK_S = 0.02

#: In the far namespace: prints "nanoseconds packets" of far0 whenever asked by a line.
_WATCH = """
import sys, time
for _ in sys.stdin:
    with open('/proc/net/dev') as f:
        row = next(line for line in f if line.strip().startswith('far0:'))
    print(time.monotonic_ns(), row.split(':')[1].split()[1], flush=True)
"""


class Watch:
    """Reads the packets that the far end has received."""

    def __init__(self, pair: Veth) -> None:
        argv = pair.argv(pair.far_pid, [sys.executable, "-c", _WATCH])
        self._process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def read(self) -> tuple[int, int]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        when, packets = self._process.stdout.readline().split()
        return int(when), int(packets)

    def close(self) -> None:
        self._process.communicate()


def cpu_ns(pid: int) -> int:
    """CPU time of a process so far (proc(5): utime and stime of its stat, in clock ticks)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def rate(pair: Veth, watch: Watch, argv: Sequence[str], text: str, least: int = PACKETS // 1000) -> tuple[float, float]:
    """(packets a second at the far end, CPU nanoseconds a packet) while `argv` runs in the near namespace. It sends
    while more than `least` packets come between two looks."""
    with tempfile.TemporaryFile("w+") as asked, tempfile.TemporaryFile("w+") as said:
        asked.write(text)
        asked.seek(0)
        process = subprocess.Popen(
            pair.argv(pair.near_pid, argv), stdin=asked, stdout=said, stderr=subprocess.STDOUT, cwd=ROOT,
            env=environment(),
        )  # fmt: skip
        samples = [(*watch.read(), cpu_ns(process.pid))]
        while process.poll() is None:
            time.sleep(LOOK_S)
            samples.append((*watch.read(), cpu_ns(process.pid) if process.poll() is None else samples[-1][2]))
        if process.returncode:
            said.seek(0)
            raise SystemExit(f"{argv[0]} failed:\n{said.read()}")
    moving = [i for i in range(1, len(samples)) if samples[i][1] - samples[i - 1][1] > least]
    first, last = samples[moving[0] - 1], samples[moving[-1]]
    sent = last[1] - first[1]
    return sent / (last[0] - first[0]) * 1e9, (last[2] - first[2]) / sent


def longline(engine: str) -> tuple[list[str], str]:
    """Arguments and standard input of a scan by `engine`."""
    plan = {"rate": 0, "cooldown": 0, "engine": engine, "interface": "near0"}
    text = json.dumps({"ranges": [[10 << 24, (10 << 24) + PACKETS - 1]], "ports": [80], "plan": plan})
    return [sys.executable, "-m", "tests.servers.scan_once"], text


def main() -> int:
    require(shutil.which("zmap") and shutil.which("masscan"), "needs zmap and masscan")
    found: dict[str, list[tuple[float, float]]] = {"zmap": [], "masscan": [], "packet": [], "xdp": []}
    with veth() as pair:
        pair.near("ip", "neigh", "replace", FAR, "lladdr", NOBODY_MAC, "dev", "near0")
        runs = {
            "zmap": ([
                "zmap", "-p", "80", "-i", "near0", "-S", NEAR, "-G", NOBODY_MAC, "-B", "200G", "-T", "1", "-c", "0",
                "-b", "/dev/null", "-o", "/dev/null", "-q", "-v", "1", "--disable-syslog", TARGETS,
            ], ""),
            "masscan": ([
                "masscan", TARGETS, "-p80", "--rate", "100000000", "--adapter", "near0", "--adapter-ip", NEAR,
                "--router-mac", NOBODY_MAC, "--wait", "0", "-oL", "/dev/null",
            ], ""),
            "packet": longline("packet"),
            "xdp": longline("xdp"),
        }  # fmt: skip
        watch = Watch(pair)
        for engine in ("packet", "xdp"):  # compiles
            rate(pair, watch, *runs[engine])
        for _ in range(ROUNDS):
            for name, figures in found.items():
                figures.append(rate(pair, watch, *runs[name]))
        watch.close()
    for name, rates in found.items():
        for which, unit, scale in ((0, "Mpps", 1e6), (1, "ns CPU a packet", 1.0)):
            column = [figures[which] / scale for figures in rates]
            low, middle, high = min(column), statistics.median(column), max(column)
            print(f"{name:8} {low:8.3f} {middle:8.3f} {high:8.3f} {unit} (minimum, median, maximum)")
    met = True
    for ours, peer, bar in BARS:
        ratio = max(one for one, _ in found[ours]) / max(one for one, _ in found[peer])
        work = statistics.median(cpu for _, cpu in found[peer]) / statistics.median(cpu for _, cpu in found[ours])
        print(f"{ours} / {peer}: {ratio:.2f} in rate (bar {bar}), {work:.2f} in packets a CPU second")
        met = met and ratio >= bar
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
