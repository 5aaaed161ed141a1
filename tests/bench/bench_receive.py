"""How many answers a second are received and validated: `python -m tests.bench.bench_receive`.

The far end floods valid SYN-ACKs (tests.bench.flood), by two processes: the kernel's work of carrying a packet is done
by who sends it, and one alone is slower than the receiver on some machines. The near end is the scanner's receive path:
ring, classification, position, round trip, dedup. First as fast as the floods go, then at 0.8 of what was validated,
where nothing may be dropped. Both ends share the two cores with the kernel between them.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from typing import Any

from tests.bench.rows import measured
from tests.servers.veth import Veth, veth

ROUNDS = 5
SECONDS = 2.0
BAR_MPPS = 1.0
SHARE = 0.8


def receive() -> None:
    """In the near namespace: for each line, what was received since the last one, as JSON."""
    from stages.net.ring import Ring
    from stages.scanner import order, probes
    from stages.scanner.answers import SYNACK
    from stages.scanner.dedup import Seen
    from stages.scanner.receiver import Receiver
    from stages.scanner.sender import Claims
    from tests.bench.flood import PERMUTATION, SOURCE_PORTS, SPACE, TARGETS, builder

    module = probes.get("tcp_synscan", "smallest-probes")
    claims = Claims(0, TARGETS, 1024, 1, 0)
    claims.begin(None)
    while (claim := claims.take()) is not None:
        claims.finished(claim)
    ending = threading.Event()
    opened = [0]

    def take(answers: Any) -> None:
        opened[0] += int((answers["kind"] == SYNACK).sum())

    receiver = Receiver(
        Ring("near0", module.filter(SOURCE_PORTS)), module, order.build(PERMUTATION, SPACE), builder().constants,
        claims, Seen("full", 1), take, cooling=lambda: True, over=ending.is_set,
    )  # fmt: skip
    receiver.warm_up()
    receiver.start()
    print("ready", flush=True)
    for _ in sys.stdin:
        while True:  # until nothing more comes
            before = receiver.tally.received
            time.sleep(0.2)
            if receiver.tally.received == before:
                break
        tally = receiver.tally
        counted = [tally.received, tally.validated, tally.drops, opened[0], time.process_time()]
        print(json.dumps(counted), flush=True)
    ending.set()
    receiver.join()


def ask(line: str, *processes: subprocess.Popen[str]) -> list[str]:
    """The same line to each, then the answer of each."""
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(line + "\n")
        process.stdin.flush()
    return [process.stdout.readline() for process in processes if process.stdout is not None]


def main() -> int:
    with veth() as pair:
        return run(pair)


def run(pair: Veth) -> int:
    peak, calm, lost = [], [], []
    work: list[float] = []  # nanoseconds of CPU for each packet
    near = (sys.executable, "-m", "tests.bench.bench_receive", "receive")
    far = (sys.executable, "-m", "tests.bench.flood")
    with (
        pair.program(pair.near_pid, *near, ready="ready", ask=True) as receiver,
        pair.program(pair.far_pid, *far, "xdp", ready="ready", ask=True) as flood,
        pair.program(pair.far_pid, *far, "packet", ready="ready", ask=True) as second,
    ):
        before = json.loads(ask("", receiver)[0])

        def round_of(rate: float) -> tuple[float, int]:
            """Validated a second, drops."""
            nonlocal before
            told = [line.split() for line in ask(f"{rate / 2} {SECONDS}", flood, second)]
            sent = sum(int(count) for count, _ in told)
            seconds = max(float(taken) for _, taken in told)
            after = json.loads(ask("", receiver)[0])
            received, validated, drops, delivered, cpu = (b - a for a, b in zip(before, after, strict=True))
            before = after
            if not (received == validated == delivered and received + drops == sent):
                raise SystemExit(f"{sent} sent, {received} received, {validated} validated, {drops} dropped")
            work.append(cpu / validated * 1e9)
            return validated / seconds, drops

        round_of(100_000)
        work.clear()
        for _ in range(ROUNDS):
            validated, _ = round_of(0)
            peak.append(validated / 1e6)
            validated, drops = round_of(SHARE * validated)
            calm.append(validated / 1e6)
            lost.append(drops)
    measured("receiving, CPU a packet", work, "ns")
    # Other programs on the machine only slow: the best round is what it can.
    good = measured("received and validated", peak, "Mpps", bar=BAR_MPPS, judged=max(peak))
    measured(f"received and validated, offered {SHARE} of that", calm, "Mpps")
    return 0 if measured(f"dropped at {SHARE} of it", lost, "packets", bar=0, at_most=True) and good else 1


if __name__ == "__main__":
    if sys.argv[1:] == ["receive"]:
        receive()
    else:
        sys.exit(main())
