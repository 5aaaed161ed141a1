"""Two scans of one network, a week apart, as records: for what is asked about whole scans."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stages.core.bus.base import Topics
from stages.core.outcome import Outcome, Phase
from stages.core.records import Banner, Hit, Record, Scan, Tls, parse
from stages.fleet.coordinator import _record
from stages.fleet.coverage import Done
from stages.fleet.things import Job
from tests.cli.command import longline
from tests.fleet.material import work
from tests.sink.material import certificate

#: 2026-11-21T07:00:00Z, and a week later.
FIRST = 1_795_244_400_000_000
SECOND = FIRST + 7 * 86_400_000_000

SPEC: dict[str, Any] = {
    "ports": "80,443", "size": 512, "last": 512, "ranges": ["192.0.2.0-192.0.2.255"], "probe": "tcp_synscan",
    "probes": 1, "retries": 1,
}  # fmt: skip


def scan(name: str, ts: int, spec: dict[str, Any] | None = None, *, ended: bool = True, **more: Any) -> list[Record]:
    """Its records of start and end."""
    spec = {**SPEC, **(spec or {})}
    records: list[Record] = [Scan(name, ts, "start", spec=spec, **more)]
    if ended:
        counters = {"complete": True, "reason": "complete", "sent": spec["last"], "targets": spec["last"]}
        records.append(Scan(name, ts + 60_000_000, "end", counters=counters, position=spec["last"], **more))
    return records


def hit(name: str, ts: int, ip: str, port: int = 443, **more: Any) -> Hit:
    return Hit(name, ts, ip, port, **more)


def tls(name: str, ts: int, ip: str, version: str, of: str) -> Tls:
    return Tls(
        name, ts, ip, 443, Outcome.OK, Phase.CERTIFICATE,
        mode="certificate", version=version, certificates=[certificate(of)],
    )  # fmt: skip


def banner(name: str, ts: int, ip: str, data: bytes) -> Banner:
    return Banner(name, ts, ip, 80, Outcome.OK, Phase.READ, probe="wait", data=data)


def two_weeks() -> list[Record]:
    """spring and summer: .1 is the same, .2 has another banner, .3 is gone, .4 is new, .5 has TLS 1.3 and another
    certificate; 198.51.100.1 was asked in spring only."""
    old, new = ("spring", FIRST), ("summer", SECOND)
    return [
        *scan(*old, {"ranges": ["192.0.2.0-192.0.2.255", "198.51.100.0-198.51.100.255"]}),
        *scan(*new),
        *(hit(*at, "192.0.2.1") for at in (old, new)),
        banner(*old, "192.0.2.2", b"one\r\n"),
        banner(*new, "192.0.2.2", b"two\r\n"),
        hit(*old, "192.0.2.3"),
        hit(*new, "192.0.2.4"),
        tls(*old, "192.0.2.5", "TLSv1.2", "old.example"),
        tls(*new, "192.0.2.5", "TLSv1.3", "new.example"),
        hit(*old, "198.51.100.1"),
    ]


def fleet_scan(name: str, ts: int, ranges: str, size: int, agents: dict[str, int], **more: Any) -> list[Record]:
    """Records of start and end, as a coordinator writes them."""
    asked = work(scan=name, ranges=(ranges,), ports="443", size=size, **more)
    job = Job(asked, ts / 1e6, done=[Done(0, size)], sent=size, agents=agents)
    lines = [_record(job, event, at / 1e6, Topics("t")).value for event, at in (("start", ts), ("end", ts + 9_000_000))]
    return [parse(line) for line in lines]


def stored(folder: Path, records: Sequence[Record]) -> str:
    """The URL of a store that has them."""
    url = f"sqlite:{folder}/store.db"
    lines = "".join(f"{record.dump().decode()}\n" for record in records)
    ran = longline("sink", "--store", url, stdin=lines)
    assert ran.returncode == 0, ran.stderr
    return url
