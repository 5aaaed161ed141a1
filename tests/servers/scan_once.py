"""One scan by the packet engine, as the JSON on standard input asks; answers and counters as JSON on standard output.

ranges, ports    the space; seed, secret (hex)
probe, args      the probe module
plan             further fields of `Plan`
kick             seconds after which sending is stopped (optional)
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np

from stages.scanner import probes
from stages.scanner.engine import ANSWER, PacketEngine, Plan
from stages.scanner.permutation import Permutation
from stages.scanner.space import Space


def main() -> None:
    asked = json.load(sys.stdin)
    space = Space.build([tuple(pair) for pair in asked["ranges"]], asked["ports"])
    batches: list[np.ndarray] = []
    more = asked.get("plan", {})
    for key in ("gateway_mac", "source_mac"):
        if key in more:
            more[key] = bytes.fromhex(more[key])
    for key in ("source_ips", "source_ports"):
        if key in more:
            more[key] = tuple(more[key])
    plan = Plan(
        space,
        Permutation(space.size, asked.get("seed", 1)),
        probes.get(asked.get("probe", "tcp_synscan"), asked.get("args")),
        bytes.fromhex(asked.get("secret", "00" * 16)),
        **more,
    )
    engine = PacketEngine(plan, batches.append)
    began = time.monotonic()
    try:
        engine.open()
    except OSError as error:
        json.dump({"error": type(error).__name__, "text": str(error), "errno": error.errno}, sys.stdout)
        return
    opened = time.monotonic()
    engine.start()
    if "kick" in asked:
        time.sleep(asked["kick"])
        engine.stop_sending()
    failed = None
    try:
        engine.join()
    except OSError as error:
        failed = f"{type(error).__name__}: {error}"
    answers = np.concatenate(batches) if batches else np.empty(0, ANSWER)
    counters = engine.counters
    print(
        json.dumps(
            {
                "answers": [dict(zip(ANSWER.names, row.tolist(), strict=True)) for row in answers],
                "counters": {name: getattr(counters, name) for name in counters.__slots__},
                "position": engine.position,
                "before": engine.position_before(time.monotonic()),
                "never": engine.position_before(0.0),
                "describe": engine.describe(),
                "open": opened - began,
                "took": time.monotonic() - opened,
                "failed": failed,
                "resets": None if engine._resets is None else [engine._resets.decided, engine._resets.sent],
            }
        )
    )
    engine.close()


if __name__ == "__main__":
    main()
