"""How many probes a second the responder answers: `python -m tests.bench.bench_responder`.

The scanner sends as fast as it goes to the responder, which answers each probe; the near side drops the answers before
its IP stack sees them (nftables, ingress hook), so that what is measured is the responder. A probe that came while it
was busy is counted. The rate is answers over the time in which they grew, the CPU time that of its process alone; the
scanner and the kernel's way between the two share the cores with it.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time

from stages.simnet.network import Simnet
from stages.simnet.responder_spec import Responder
from stages.simnet.spec import Spec
from stages.simnet.wiring import NEAR_LINK
from tests.bench.bench_send import cpu_ns
from tests.bench.rows import measured
from tests.require import require

ROUNDS = 5
TARGETS = 1 << 21
BASE = 10 << 24
BAR_MPPS = 1.0
LOOK_S = 0.1
_DROP = f"""
add table netdev bench
add chain netdev bench sink {{ type filter hook ingress device {NEAR_LINK} priority 0; policy drop; }}
"""


def one(net: Simnet) -> tuple[float, float, float]:
    """(million answers a second at best, CPU nanoseconds an answer, per cent of the probes lost)."""
    plan = {"rate": 0, "cooldown": 0, "engine": "xdp", "interface": NEAR_LINK, "send_rst": "never"}
    asked = {"ranges": [[BASE, BASE + TARGETS - 1]], "ports": [80], "plan": plan}
    assert net._responder is not None
    pid = net._responder.pid
    before, cpu = net.responder_counters(), cpu_ns(pid)
    samples = [(time.monotonic(), before["answers"])]
    scan = [sys.executable, "-m", "tests.servers.scan_once"]
    program = net.run(scan, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    assert program.stdin is not None
    program.stdin.write(json.dumps(asked).encode())
    program.stdin.close()
    while program.poll() is None:
        time.sleep(LOOK_S)
        samples.append((time.monotonic(), net.responder_counters()["answers"]))
    after = net.responder_counters()
    if program.returncode:
        raise SystemExit(f"the scan ended with {program.returncode}")
    moving = [i for i in range(1, len(samples)) if samples[i][1] > samples[i - 1][1]]
    (begin, first), (end, last) = samples[moving[0] - 1], samples[moving[-1]]
    answered = after["answers"] - before["answers"]
    lost = TARGETS - answered
    return (last - first) / (end - begin) / 1e6, (cpu_ns(pid) - cpu) / answered, 100 * lost / TARGETS


def main() -> int:
    require(shutil.which("nft"), "needs nftables")
    spec = Spec(
        local=("192.0.2.0/24",), servers=False, rules=False, responder=Responder(("10.0.0.0/8",), {"synack": 1.0})
    )
    with Simnet(spec) as net:
        net.run(["nft", "-f", "-"], stdin=subprocess.PIPE).communicate(_DROP.encode())
        one(net)  # compiles
        rounds = [one(net) for _ in range(ROUNDS)]
    rates, work, lost = zip(*rounds, strict=True)
    measured("the responder, CPU an answer", work, "ns")
    measured("probes that it had no time for", lost, "%")
    # Other programs on the machine only slow: the best round is what it can.
    return 0 if measured("the responder answers", rates, "Mpps", bar=BAR_MPPS, judged=max(rates)) else 1


if __name__ == "__main__":
    sys.exit(main())
