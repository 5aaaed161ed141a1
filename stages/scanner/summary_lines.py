"""--summary: configuration (cnf), environment (env), execution (exc) and the rest (adv), a line each. Pure.

It is what ZMap 1 printed, for `grep ^exc`. A tab stands between the words of a line; what is unknown is left out.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from stages.scanner.told import Told


def ctime(us: int | None) -> str | None:
    """`Fri Jan 18 01:47:35 2013`, in UTC."""
    if us is None:
        return None
    moment = dt.datetime.fromtimestamp(us // 1_000_000, dt.UTC)
    return f"{moment:%a %b} {moment.day:2d} {moment:%H:%M:%S %Y}"


def lines(told: Told) -> Iterator[str]:
    """Without line ends."""
    for group, name, value in _values(told):
        if value is not None and value != "":
            yield f"{group}\t{name}\t{value}"


def _values(told: Told) -> Iterator[tuple[str, str, object]]:
    settings, spec, counts, times = told.prepared.settings, told.spec, told.counts, told.times
    first, last = settings.source_ports
    sources = str(told.sender.get("source_ip", "")).split(",")
    kind = "rst" if spec.probe == "tcp_synackscan" else "synack" if spec.probe == "tcp_synscan" else "success"
    yield "cnf", "target-port", spec.ports
    yield "cnf", "source-port-range-begin", first
    yield "cnf", "source-port-range-end", last
    yield "cnf", "source-addr-range-begin", sources[0]
    yield "cnf", "source-addr-range-end", sources[-1]
    yield "cnf", "maximum-packets", spec.last * spec.probes
    yield "cnf", "maximum-runtime", int(settings.max_runtime or 0)
    yield "cnf", "permutation-seed", spec.seed
    yield "cnf", "cooldown-period", int(settings.cooldown_time)
    yield "cnf", "send-interface", told.sender.get("interface")
    yield "cnf", "rate", int(spec.rate)
    yield "env", "nprocessors", told.processors
    yield "exc", "send-start-time", ctime(times.send_start)
    yield "exc", "send-end-time", ctime(times.send_end)
    yield "exc", "recv-start-time", ctime(times.recv_start)
    yield "exc", "recv-end-time", ctime(times.recv_end)
    yield "exc", "sent", told.counters.sent
    yield "exc", "blacklisted", sum(spec.excluded.values())
    yield "exc", "first-scanned", told.first_scanned
    yield "exc", "hit-rate", f"{told.hit_rate:.6f}"
    yield "exc", f"{kind}-received-unique", counts.success_unique
    yield "exc", f"{kind}-received-total", counts.success_total
    yield "exc", f"{kind}-cooldown-received-unique", counts.cooldown_unique
    yield "exc", f"{kind}-cooldown-received-total", counts.cooldown_total
    if kind == "synack":
        yield "exc", "rst-received-unique", counts.rst_unique
        yield "exc", "rst-received-total", counts.rst_total
    yield "exc", "end", told.reason
    yield "adv", "scan", spec.scan
    yield "adv", "specification", spec.digest()
    yield "adv", "version", spec.version
