"""What going on with the scanner's connection is worth: `python -m tests.bench.bench_continue [PART ...]`.

The responder answers every SYN and says an HTTP response of some 220 bytes to every request. Parts, each by itself:

    rates     `scan --grab` at rising rates, the highest at which 99.9 % of the banners are written; beside zgrab2 at
              its best on the loopback (nginx), and masscan --banners at rising rates while it finds 90 %; then ours at
              60 % of its highest
    loss      the same at that rate with 1 % of all packets lost in either direction, and `--retries 2`
    objects   a payload with the target's address in it: a dialogue object for each connection
    tls       client CPU per certificate of `scan --grab tls`, beyond that of the scan, beside `tlsgrab --mode
              certificate` with the same hits, of the same responder
    memory    200,000 connections open at once
    adopt     microseconds of one adoption

A rate is what was really done: the banners written and right, over the time from the first SYN to the last banner.
What is written is compared with the truth, byte for byte. masscan meets servers that keep the connection open: of those
that close with their last byte it finds three of four at any rate. Exit code 1 when a bar is missed.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from functools import cache
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from stages.simnet.network import Simnet
from stages.simnet.responder_spec import Responder
from stages.simnet.spec import Spec
from stages.simnet.wiring import NEAR_ADDRESS, NEAR_LINK, RESPONDER_MAC
from tests.bench.rows import measured
from tests.require import require
from tests.servers.webserver import webserver
from tests.servers.zgrab2 import zgrab2

BASE: Final = 0x0A400000  # 10.64.0.0
NETWORK: Final = "10.64.0.0/10"
REQUEST: Final = b"GET / HTTP/1.0\r\nHost: longline\r\n\r\n"
TEMPLATE: Final = b"GET / HTTP/1.0\r\nHost: %s\r\n\r\n"
LONGLINE: Final = (sys.executable, "-m", "stages.cli.main")

FIRST_RATE: Final = 20_000.0
STEP: Final = 1.5
MAX_STEPS: Final = 7
SECONDS: Final = 1.5
#: A rate at which a program failed is tried so often before it counts as failed: the machine has other things to do.
TRIES: Final = 2
LOOK_S: Final = 0.05
COOLDOWN: Final = "4"
#: A program that does less than this share of what is asked for does not go faster.
SATURATED: Final = 0.6
PATIENCE_S: Final = 300.0

MASSCAN_FIRST: Final = 10.0
MASSCAN_STEP: Final = 2.0
#: It goes on with what it has found when its SYNs are out, and takes its time.
MASSCAN_WAIT: Final = "20"
#: An even power-of-two range, which masscan wants; the kernel is told to say nothing about it.
MASSCAN_PORTS: Final = (40_960, 45_055)
_QUIET: Final = """
add table inet bench
add chain inet bench quiet {{ type filter hook prerouting priority -300; }}
add rule inet bench quiet tcp dport {}-{} drop
"""

ENOUGH: Final = 0.999
MASSCAN_ENOUGH: Final = 0.90
LOSSY_ENOUGH: Final = 0.995
#: (beside zgrab2, beside masscan).
BARS: Final = (4.0, 20.0)
OBJECTS_BAR: Final = 1.5
TLS_BAR: Final = 0.7
MEMORY_BAR_MB: Final = 400.0
ADOPT_BAR_US: Final = 300.0

ZGRAB_TARGETS: Final = 20_000
ZGRAB_AT_ONCE: Final = 1_000
ROUNDS: Final = 3
CERTIFICATES: Final = 32_768
#: Of handshakes, as a scan for certificates has them; dialling goes as fast as it can, and is slower.
TLS_RATE: Final = "8000"
#: Prefixes with 200,704 addresses.
MANY: Final = ("10.64.0.0/15", "10.66.0.0/16", "10.67.0.0/20")
ADOPTIONS: Final = 2_000

_MB: Final = 2**20


@contextmanager
def responder(**more: Any):  # type: ignore[no-untyped-def]
    spec = Responder((NETWORK,), {"synack": 1.0}, **more)
    with Simnet(Spec(servers=False, rules=False, responder=spec)) as net:
        yield net


class Run(NamedTuple):
    rate: float  #: banners a second that were begun, while they were
    right: float  #: share of the targets whose banner was written, and is the truth
    cpu: float  #: seconds of the process
    counters: dict[str, int]  #: of the responder, what this run added


def prefix(rate: float, seconds: float = SECONDS) -> tuple[str, int]:
    """A prefix that takes about so long at this rate."""
    bits = max(int(rate * seconds) - 1, 1).bit_length()
    return f"{IPv4Address(BASE)}/{32 - bits}", 1 << bits


def observed(net: Simnet, argv: Sequence[str], out: Path) -> tuple[float, float, dict[str, int]]:
    """Run it: (banners a second, CPU seconds, what the responder counted)."""
    before = net.responder_counters()
    samples = [(time.monotonic(), before)]
    with (out.parent / "told").open("w+") as told:
        program = net.run(argv, stdin=subprocess.DEVNULL, stdout=told, stderr=told)
        while True:
            pid, status, usage = os.wait4(program.pid, os.WNOHANG)
            if pid:
                break
            time.sleep(LOOK_S)
            counters = net.responder_counters()
            samples.append((time.monotonic(), counters))
        program.returncode = os.waitstatus_to_exitcode(status)
        told.seek(0)
        if program.returncode:
            raise SystemExit(f"{argv[:4]} failed:\n{told.read()}")
    after = net.responder_counters()
    added = {name: after[name] - before[name] for name in after}
    syns, said = ([one[name] for _, one in samples] for name in ("syn", "said"))
    begin = next((i for i, n in enumerate(syns) if n > syns[0]), 1) - 1
    end = next((i for i, n in enumerate(said) if n == said[-1]), 0)
    rate = (said[end] - said[begin]) / (samples[end][0] - samples[begin][0]) if end > begin else 0.0
    return rate, usage.ru_utime + usage.ru_stime, added


def records(file: Path) -> dict[str, dict[str, Any]]:
    """Banner and certificate records by address."""
    lines = (json.loads(line) for line in file.read_bytes().splitlines() if b'"outcome"' in line)
    return {record["ip"]: record for record in lines}


def grab(net: Simnet, rate: float, payload: bytes = REQUEST, *more: str) -> Run:
    with tempfile.TemporaryDirectory() as folder:
        request, out = Path(folder) / "request", Path(folder) / "out"
        request.write_bytes(payload)
        what = f"template:{request}" if b"%s" in payload else str(request)
        where, targets = prefix(rate)
        rate, cpu, counters = observed(net, [
            *LONGLINE, "scan", "-p", "80", "--grab", what, "-O", "hits", "-o", str(out), "-r", f"{rate:.0f}",
            "-c", COOLDOWN, "-q", *more, where,
        ], out)  # fmt: skip
        got = records(out)
    addresses = np.arange(BASE, BASE + targets, dtype=np.uint32)
    right = sum(
        (record := got.get(str(IPv4Address(address)))) is not None
        and record["outcome"] == "ok"
        and base64.b64decode(record["data"]) == banner
        for address, banner in zip(addresses.tolist(), net.responder_truth().banners(addresses, 80), strict=True)
    )
    # The responder counts what it said, again included.
    return Run(rate * right / max(counters["said"], 1), right / targets, cpu, counters)


def masscan(net: Simnet, rate: float) -> Run:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        where, targets = prefix(rate)
        rate, cpu, counters = observed(net, [
            "masscan", where, "-p80", "--banners", "--rate", f"{rate:.0f}", "--adapter", NEAR_LINK, "--adapter-ip",
            NEAR_ADDRESS, "--adapter-port", "{}-{}".format(*MASSCAN_PORTS), "--router-mac", RESPONDER_MAC,
            "--wait", MASSCAN_WAIT, "-oL", str(out),
        ], out)  # fmt: skip
        lines = [line.split() for line in out.read_text(errors="replace").splitlines()] if out.exists() else []
    found = {line[3] for line in lines if len(line) > 3 and line[0] == "banner"}
    return Run(rate, len(found) / targets, cpu, counters)


def highest(name: str, run: Callable[[float], Run], first: float, enough: float, step: float = STEP) -> float:
    """The highest rate, of banners, at which there were enough; 0 if none was."""
    best, rate = 0.0, first
    for _ in range(MAX_STEPS):
        good = None
        for _ in range(TRIES):
            one = run(rate)
            print(f"  {name} {rate:,.0f} asked: {one.rate:,.0f} banners/s, {100 * one.right:.2f} % right", flush=True)
            if one.right >= enough:
                good = one
                break
        if good is None:
            break
        best = max(best, good.rate)
        if good.rate < SATURATED * rate:  # it goes no faster than that
            break
        rate *= step
    return best


@cache
def zgrab_rate() -> float:
    """Banners a second of zgrab2 at its best, `banner` or `http`, one nginx worker on the loopback."""
    rates: dict[str, list[float]] = {"banner": [], "http": []}
    with tempfile.TemporaryDirectory() as folder, webserver() as port:
        home = Path(folder)
        (home / "nobody").write_text("")
        (home / "request").write_bytes(REQUEST)
        targets = (f"127.1.{n >> 8}.{n & 255}\n" for n in range(1, ZGRAB_TARGETS + 1))
        (home / "targets").write_text("".join(targets))
        more = {"banner": ["--probe-file", str(home / "request")], "http": []}
        for _ in range(ROUNDS):
            for module, words in more.items():
                took = []
                for file in ("nobody", "targets"):
                    argv = [
                        str(zgrab2()), module, "-p", str(port), "-s", str(ZGRAB_AT_ONCE), "-b", str(home / "nobody"),
                        "-l", "/dev/null", "-u", "/dev/null", "-m", "/dev/null", *words,
                    ]  # fmt: skip
                    began = time.monotonic()
                    with (home / file).open() as lines, (home / "out").open("w") as out:
                        subprocess.run(argv, stdin=lines, stdout=out, stderr=subprocess.DEVNULL, check=True)
                    took.append(time.monotonic() - began)
                good = (home / "out").read_bytes().count(b'"status":"success"')
                rates[module].append(good / max(took[1] - took[0], 1e-3))
    for module, values in rates.items():
        measured(f"zgrab2 {module} on the loopback", values, "banners/s")
    return max(max(values) for values in rates.values())


@cache
def top_rate() -> float:
    """Ours."""
    with responder(says={"close": 1.0}) as net:
        grab(net, FIRST_RATE / 10)  # compiles
        return highest("longline", lambda rate: grab(net, rate), FIRST_RATE, ENOUGH)


def rates() -> bool:
    ours, theirs = top_rate(), zgrab_rate()
    good = measured(
        "banners a second, longline / zgrab2 at its best", [ours / theirs], "", bar=BARS[0], judged=ours / theirs
    )
    with responder(says={"close": 1.0}) as net:
        grab(net, FIRST_RATE / 10)
        complete = [100 * grab(net, 0.6 * ours).right for _ in range(ROUNDS)]
    measured("longline: highest rate at which 99.9 % is written, right", [ours], "banners/s")
    return good & measured("written, right, at 60 % of that rate", complete, "%", bar=100 * ENOUGH)


def beside_masscan() -> bool:
    require(shutil.which("masscan") and shutil.which("nft"), "needs Debian's masscan and nftables")
    ours = top_rate()
    with responder(says={"http": 1.0}) as net:
        net.run(["nft", "-f", "-"], stdin=subprocess.PIPE).communicate(_QUIET.format(*MASSCAN_PORTS).encode())
        other = highest("masscan", lambda rate: masscan(net, rate), MASSCAN_FIRST, MASSCAN_ENOUGH, MASSCAN_STEP)
    if not other:
        raise SystemExit("masscan found 90 % at no rate: there is nothing to compare with")
    measured("masscan --banners: highest rate at which it finds 90 %", [other], "banners/s")
    return measured("banners a second, longline / masscan", [ours / other], "", bar=BARS[1])


def loss() -> bool:
    rate = 0.6 * top_rate()
    with responder(says={"close": 1.0}, loss=0.01, back=0.01) as net:
        share = [100 * grab(net, rate, REQUEST, "--retries", "2").right for _ in range(ROUNDS)]
    return measured("written, right, with 1 % loss both ways", share, "%", bar=100 * LOSSY_ENOUGH)


def objects() -> bool:
    with responder(says={"close": 1.0}) as net:
        grab(net, FIRST_RATE / 10)
        best = highest("longline, objects", lambda rate: grab(net, rate, TEMPLATE), FIRST_RATE / 2, ENOUGH)
    measured("dialogue objects: highest rate at which 99.9 % is written, right", [best], "banners/s")
    return measured("the same / zgrab2 at its best", [best / zgrab_rate()], "", bar=OBJECTS_BAR)


def tls() -> bool:
    """Client CPU: of a scan that goes on with its connections, less that of the same scan which only writes its hits;
    beside it tlsgrab with those very hits. Both write the same records, and one target's run is taken off each."""
    costs: dict[str, list[float]] = {"scan": [], "raw": [], "connect": []}
    with responder(says={"tls": 1.0}) as net, tempfile.TemporaryDirectory() as folder:
        out, few, many = (Path(folder) / name for name in ("out", "few", "many"))
        chains = set(net.responder_chains)

        def spent(argv: Sequence[str], to: Path, hits: Path | None = None) -> float:
            shell = f'exec "$@" >{to}' if hits is None else f'exec "$@" <{hits} >{to}'
            return observed(net, ["sh", "-c", shell, "sh", *argv], to)[1]

        def scan(where: str, *more: str) -> list[str]:
            words = ["-O", "hits", "-c", "3", "-q", "-r", TLS_RATE, where]
            return [*LONGLINE, "scan", "-p", "443", *more, *words]

        one, all_ = f"{IPv4Address(BASE)}/32", f"{IPv4Address(BASE)}/{32 - (CERTIFICATES.bit_length() - 1)}"
        dial = [*LONGLINE, "tlsgrab", "--mode", "certificate", "-f", "json", "-c", "500", "--per-prefix", "0"]
        for round_ in range(ROUNDS + 1):
            cpu = {"scan": spent(scan(all_), many) - spent(scan(one), few)}
            for name in ("raw", "connect")[:: 1 if round_ % 2 else -1]:
                if name == "raw":
                    took = -spent(scan(one, "--grab", "tls"), out) + spent(scan(all_, "--grab", "tls"), out)
                else:
                    took = -spent(dial, out, few) + spent(dial, out, many)
                cpu[name] = took
                got = records(out)
                right = sum(
                    record["outcome"] == "ok" and tuple(map(base64.b64decode, record["certificates"])) in chains
                    for record in got.values()
                )
                if right < ENOUGH * CERTIFICATES:
                    raise SystemExit(f"{name}: {right} right chains of {CERTIFICATES}")
            cpu["raw"] -= cpu["scan"]
            if round_:  # the first one compiles
                for name, took in cpu.items():
                    costs[name].append(took / CERTIFICATES * 1e6)
    measured("CPU per hit of the scan alone", costs["scan"], "us")
    for name in ("raw", "connect"):
        measured(f"TLS 1.2: client CPU per certificate, {name}", costs[name], "us")
    ratios = [a / b for a, b in zip(costs["raw"], costs["connect"], strict=True)]
    return measured("TLS 1.2: raw / connect", ratios, "", bar=TLS_BAR, at_most=True)


def resident(pid: int) -> int:
    """Bytes of memory of a process (proc(5), statm)."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def memory() -> bool:
    with responder(says={"mute": 1.0}) as net, tempfile.TemporaryDirectory() as folder:
        grab(net, FIRST_RATE / 10)
        request = Path(folder) / "request"
        request.write_bytes(REQUEST)
        before = net.responder_counters()["data"]
        program = net.run([
            *LONGLINE, "scan", "-p", "80", "--grab", str(request), "-O", "hits", "-o", f"{folder}/out", "-r", "20000",
            "-c", "5", "-q", "--grab-concurrent", "210000", "--read-timeout", "120", "--total-timeout", "180", *MANY,
        ], stdin=subprocess.DEVNULL)  # fmt: skip
        end = time.monotonic() + PATIENCE_S
        least = whole = 0
        count = 0
        try:
            while count < 200_000 and time.monotonic() < end and program.poll() is None:
                time.sleep(LOOK_S)
                count = net.responder_counters()["data"] - before
                whole = resident(program.pid)
                least = whole if not count else least
        finally:
            program.kill()
            program.wait()
    if count < 200_000:
        raise SystemExit(f"only {count:,} connections were open")
    measured("memory of the scanner before the first connection", [least / _MB], "MB")
    return measured(
        "memory of a scanner with 200,000 connections open", [whole / _MB], "MB", bar=MEMORY_BAR_MB, at_most=True
    )


def adopting() -> None:
    """In the near namespace: adopt connections that nobody began, and print the microseconds of each as JSON."""
    from stages.net.halfopen import HALFOPEN
    from stages.net.repair import adopt

    half = np.zeros(1, HALFOPEN)
    half["ours"], half["peer_port"], half["window"], half["mss"] = int(IPv4Address(NEAR_ADDRESS)), 80, 64240, 1460
    half["wscale"], half["sack"], half["seq"], half["ack"] = 7, 1, 1, 1
    took = []
    for number in range(ADOPTIONS):
        half["peer"], half["own_port"] = BASE + number, 50_000 + number % 200
        began = time.perf_counter_ns()
        sock = adopt(half[0], own_wscale=8)
        took.append((time.perf_counter_ns() - began) / 1e3)
        sock.close()
    print(json.dumps(took))


def adopt_part() -> bool:
    with responder(says={"mute": 1.0}) as net:
        argv = [sys.executable, "-m", "tests.bench.bench_continue", "adopting"]
        program = net.run(argv, stdout=subprocess.PIPE)
        took = json.loads(program.communicate(timeout=PATIENCE_S)[0])
    # The rest of the machine only slows; the median says what one takes.
    return measured("one adoption", took, "us", bar=ADOPT_BAR_US, at_most=True)


PARTS: Final[dict[str, Callable[[], bool]]] = {
    "rates": rates,
    "masscan": beside_masscan,
    "loss": loss,
    "objects": objects,
    "tls": tls,
    "memory": memory,
    "adopt": adopt_part,
}


def main(names: Sequence[str]) -> int:
    if unknown := set(names) - PARTS.keys():
        raise SystemExit(f"no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    good = True
    for name, part in PARTS.items():
        if not names or name in names:
            good &= part()
    return 0 if good else 1


if __name__ == "__main__":
    if sys.argv[1:] == ["adopting"]:
        adopting()
    else:
        sys.exit(main(sys.argv[1:]))
