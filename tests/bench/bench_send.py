"""How fast the packet engine sends, beside Debian's zmap on the same veth: `python -m tests.bench.bench_send`.

Both send TCP SYNs from one sender thread, unlimited, to addresses of 10.0.0.0/8 that the far side has no route for, so
that it drops them at once. The rate is taken at the far end: packets over the time between its first and its last
increase, its counters read each 20 ms; so neither program's start nor its cooldown counts. Over the same span the CPU
time of the process is taken, all threads together: what other programs on the machine do shows less in it. The two take
turns; printed are minimum, median and maximum of the rounds. What else runs on the machine only slows, so the ratio is
that of the best rounds. Exit code 1 below the bar.
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

from tests.require import require
from tests.servers.veth import ANYIP, FAR, NEAR, ROOT, Veth, environment, veth

PACKETS = 1_000_000
ROUNDS = 5
BAR = 1.2
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


def rate(pair: Veth, watch: Watch, argv: Sequence[str], text: str) -> tuple[float, float]:
    """(packets a second at the far end, CPU nanoseconds a packet) while `argv` runs in the near namespace."""
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
    moving = [i for i in range(1, len(samples)) if samples[i][1] - samples[i - 1][1] > PACKETS // 1000]
    first, last = samples[moving[0] - 1], samples[moving[-1]]
    sent = last[1] - first[1]
    return sent / (last[0] - first[0]) * 1e9, (last[2] - first[2]) / sent


def main() -> int:
    require(shutil.which("zmap"), "needs Debian's zmap")
    longline = [sys.executable, "-m", "tests.servers.scan_once"]
    plan = {"rate": 0, "cooldown": 0, "last": PACKETS}
    text = json.dumps({"ranges": [[10 << 24, (11 << 24) - 1]], "ports": [80], "plan": plan})
    found: dict[str, list[tuple[float, float]]] = {"longline": [], "zmap": []}
    with veth() as pair:
        pair.far("ip", "route", "del", "local", ANYIP, "dev", "lo")
        pair.near("ping", "-c1", "-W2", FAR, check=False)  # both find the gateway's MAC in the table
        mac = json.loads(pair.far("ip", "-j", "link", "show", "far0").stdout)[0]["address"]
        zmap = [
            "zmap", "-p", "80", "-i", "near0", "-S", NEAR, "-G", mac, "-B", "200G", "-n", str(PACKETS), "-T", "1",
            "-c", "0", "-b", "/dev/null", "-o", "/dev/null", "-q", "-v", "1", "--disable-syslog", ANYIP,
        ]  # fmt: skip
        watch = Watch(pair)
        rate(pair, watch, longline, text)  # compiles
        for _ in range(ROUNDS):
            found["zmap"].append(rate(pair, watch, zmap, ""))
            found["longline"].append(rate(pair, watch, longline, text))
        watch.close()
    for name, rates in found.items():
        for which, unit, scale in ((0, "Mpps", 1e6), (1, "ns CPU a packet", 1.0)):
            column = [figures[which] / scale for figures in rates]
            low, middle, high = min(column), statistics.median(column), max(column)
            print(f"{name:10} {low:8.3f} {middle:8.3f} {high:8.3f} {unit} (minimum, median, maximum)")
    ratio = max(rates for rates, _ in found["longline"]) / max(rates for rates, _ in found["zmap"])
    work = statistics.median(cpu for _, cpu in found["zmap"]) / statistics.median(cpu for _, cpu in found["longline"])
    print(f"longline / zmap: {ratio:.2f} in rate (bar {BAR}), {work:.2f} in packets a CPU second")
    return 0 if ratio >= BAR else 1


if __name__ == "__main__":
    sys.exit(main())
