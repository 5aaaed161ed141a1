"""How exact the rate is: `python -m tests.bench.bench_rate [engine]`.

A scan is asked for 1, 10, 1,000, 100,000 and 1,000,000 packets a second, for ten seconds each, and what arrived at the
far end of a veth is counted there, over the time between the first and the last look at which the count moved (20 ms
apart; at the two lowest rates over the ten seconds). Printed are the rate and what it is off by. Exit code 1 if that is
more than 1 % (and more than one packet) at a rate that the machine can: one is skipped, and said to be, if an unlimited
scan does not reach one and a half times as much in the same run.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from tests.bench.bench_send import DROP, Watch
from tests.bench.bench_send import rate as measured
from tests.servers.veth import FAR, Veth, veth

RATES = (1, 10, 1_000, 100_000, 1_000_000)
SECONDS = 10.0
ALLOWED = 0.01
SPARE = 1.5


def scan(pair: Veth, **plan: Any) -> dict[str, Any]:
    asked = {"ranges": [[10 << 24, (11 << 24) - 1]], "ports": [80], "plan": {"cooldown": 0, **plan}}
    told = pair.near(sys.executable, "-m", "tests.servers.scan_once", input=json.dumps(asked), timeout=120)
    found: dict[str, Any] = json.loads(told.stdout)
    return found


def main() -> int:
    engine = sys.argv[1] if len(sys.argv) > 1 else "xdp"
    met = True
    with veth() as pair:
        mac = json.loads(pair.far("ip", "-j", "link", "show", "far0").stdout)[0]["address"]
        pair.near("ip", "neigh", "replace", FAR, "lladdr", mac, "dev", "near0")  # far0 will answer no ARP
        pair.far("nft", "-f", "-", input=DROP)
        watch = Watch(pair)
        scan(pair, engine=engine, rate=0, max_runtime=1.0)  # compiles
        top = scan(pair, engine=engine, rate=0, max_runtime=3.0)["counters"]["sent"] / 3.0
        print(f"{engine}: unlimited {top:,.0f} packets/s")
        for rate in RATES:
            if rate * SPARE > top:
                print(f"{rate:>9,} asked: skipped, this machine does not send {SPARE} times as much just now")
                continue
            text = json.dumps(
                {
                    "ranges": [[10 << 24, (11 << 24) - 1]],
                    "ports": [80],
                    "plan": {"cooldown": 0, "engine": engine, "rate": rate, "max_runtime": SECONDS},
                }
            )
            before = watch.read()[1]
            argv = [sys.executable, "-m", "tests.servers.scan_once"]
            found, _ = measured(pair, watch, argv, text, least=max(rate // 1000, 0))
            sent = watch.read()[1] - before
            off = abs(found / rate - 1) if rate > 10 else max(abs(sent - rate * SECONDS) - 1, 0) / (rate * SECONDS)
            print(f"{rate:>9,} asked: {found:,.1f} packets/s, {sent:,} packets in all, off by {off:.3%}")
            met = met and off <= ALLOWED
        watch.close()
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
