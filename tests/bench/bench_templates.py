"""How fast UDP templates are sent, beside constant payloads as long: `python -m tests.bench.bench_templates`.

Scans of 10.0.0.0/12 by each engine from one sender thread, unlimited, measured as in bench_send: a SIP request whose
addresses, ports and random characters are rendered for each packet, and constant bytes as long as it. They take turns.
Printed are minimum, median and maximum of the rounds; the ratio is that of the best ones, and beside it stands that of
packets a CPU second, which other programs on the machine change less. How long a frame takes to be built without being
sent is printed, too. Exit code 1 below a bar.
"""

from __future__ import annotations

import json
import statistics
import sys
import time

from stages.scanner import probes
from stages.scanner.frames import FrameBuilder
from stages.scanner.permutation import Permutation
from stages.scanner.space import Space
from tests.bench.bench_send import PACKETS, ROUNDS, Watch, rate
from tests.bench.flood import NOBODY_MAC
from tests.servers.veth import FAR, veth

BAR = 0.5
#: What the template becomes for most addresses of the space, and as many constant bytes.
ARGS = {"template": "template:sip_options.tpl", "constant": "text:" + "x" * 336}
ENGINES = ("packet", "xdp")
BATCH = 512


def scan(engine: str, args: str) -> tuple[list[str], str]:
    plan = {"rate": 0, "cooldown": 0, "engine": engine, "interface": "near0"}
    asked = {
        "ranges": [[10 << 24, (10 << 24) + PACKETS - 1]],
        "ports": [5060],
        "plan": plan,
        "probe": "udp",
        "args": args,
    }
    return [sys.executable, "-m", "tests.servers.scan_once"], json.dumps(asked)


def build_ns(args: str) -> float:
    """Nanoseconds of CPU to build a frame, the best of some rounds."""
    space = Space.build([(10 << 24, (10 << 24) + PACKETS - 1)], (5060,))
    made = FrameBuilder(
        space, Permutation(space.size, 9), probes.get("udp", args), bytes(16), source_ips=(0xC6336402,),
        source_ports=(32768, 61000), batch=BATCH,
    )  # fmt: skip
    made.fill(0, BATCH)
    times = []
    for _ in range(ROUNDS):
        began = time.thread_time_ns()
        for first in range(0, PACKETS // 8, BATCH):
            made.fill(first, BATCH)
        times.append((time.thread_time_ns() - began) / (PACKETS // 8))
    return min(times)


def main() -> int:
    for name, args in ARGS.items():
        print(f"{name}: {build_ns(args):.0f} ns of CPU to build a frame")
    found: dict[tuple[str, str], list[tuple[float, float]]] = {
        (engine, name): [] for engine in ENGINES for name in ARGS
    }
    with veth() as pair:
        pair.near("ip", "neigh", "replace", FAR, "lladdr", NOBODY_MAC, "dev", "near0")
        watch = Watch(pair)
        rate(pair, watch, *scan("packet", ARGS["template"]))  # compiles
        for _ in range(ROUNDS):
            for engine, name in found:
                found[engine, name].append(rate(pair, watch, *scan(engine, ARGS[name])))
        watch.close()
    met = True
    for engine in ENGINES:
        for name in ARGS:
            for which, unit, scale in ((0, "Mpps", 1e6), (1, "ns CPU a packet", 1.0)):
                column = [figures[which] / scale for figures in found[engine, name]]
                low, middle, high = min(column), statistics.median(column), max(column)
                print(f"{engine:8} {name:9} {low:8.3f} {middle:8.3f} {high:8.3f} {unit}")
        template, constant = found[engine, "template"], found[engine, "constant"]
        ratio = max(fast for fast, _ in template) / max(fast for fast, _ in constant)
        work = min(cpu for _, cpu in constant) / min(cpu for _, cpu in template)
        print(f"{engine}: template / constant: {ratio:.2f} in rate (bar {BAR}), {work:.2f} in packets a CPU second")
        met = met and ratio >= BAR
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
