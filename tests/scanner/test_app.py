"""The scanner whole: as a program, by packets in namespaces and by ordinary connections."""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stages.core import records
from stages.core.metrics import Counter
from stages.core.policy import Policy
from stages.core.records import Hit
from stages.core.settings import ListSettings
from stages.scanner import checkpoint
from stages.scanner.app import scan
from stages.scanner.metrics import ScannerMetrics
from stages.scanner.permutation import Permutation
from stages.scanner.settings import ScannerSettings
from stages.scanner.space import Space
from tests.require import require
from tests.servers.veth import NEAR, ROOT, Veth, environment, veth

PYTHON = sys.executable
COMMAND = (PYTHON, "-m", "tests.servers.run_scan")
LISTEN = """
import signal, socket, sys
sockets = [socket.create_server(("0.0.0.0", int(port)), backlog=4096) for port in sys.argv[1:]]
print("ready", flush=True)
signal.pause()
"""


@pytest.fixture(scope="module")
def net() -> Iterator[Veth]:
    """Every address of 10.0.0.0/8 has port 80 open and no other."""
    with veth() as pair, pair.program(pair.far_pid, PYTHON, "-c", LISTEN, "80", ready="ready"):
        yield pair


def near(net: Veth, *argv: str, prefix: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    return net.near(*prefix, *COMMAND, *argv, check=False)


def summary_of(stderr: str) -> dict[str, Any]:
    (line,) = [line for line in stderr.splitlines() if line.startswith("SUMMARY ")]
    summary: dict[str, Any] = json.loads(line.removeprefix("SUMMARY "))
    return summary


def addresses(prefix: str, count: int) -> set[str]:
    return {f"{prefix}.{i >> 8}.{i & 255}" for i in range(count)}


# -- packets ----------------------------------------------------------------------------------------------------------


def test_the_found_set_is_the_truth(net: Veth) -> None:
    done = near(net, "-p", "80", "-c", "1.5", "-e", "7", "10.2.0.0/22")
    assert done.returncode == 0
    header, *found = done.stdout.splitlines()
    assert header == "saddr"
    assert len(found) == 1024
    assert set(found) == addresses("10.2", 1024)
    assert "10,000 probes/s, xdp engine (interface near0" in done.stderr  # the rate and the engine are said
    assert "hitrate: 100.00%" in done.stderr  # and the status line
    summary = summary_of(done.stderr)
    assert (summary["complete"], summary["counters"]["sent"], summary["tally"]["success"]) == (True, 1024, 1024)


def test_full_records_with_the_whole_synack(net: Veth, tmp_path: Path) -> None:
    out = tmp_path / "hits"
    done = near(
        net, "-p", "80,81", "-c", "0.5", "-q", "-O", "hits", "-o", str(out), "--publish", "all", "-P", "2",
        "--probe-args", "linux", "--vantage", "near", "--publish-to", str(tmp_path / "bus"), "10.2.0.0/27",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "hitrate" not in done.stderr
    hits = [record for line in out.read_bytes().splitlines() if isinstance(record := records.parse(line), Hit)]
    assert len(hits) == 128
    first = [hit for hit in hits if not hit.repeat]
    assert {(hit.ip, hit.port, hit.success) for hit in first} == {
        (f"10.2.0.{i}", port, port == 80) for i in range(32) for port in (80, 81)
    }
    for hit in hits:
        assert hit.tcp is not None
        assert hit.source is not None
        assert hit.source["ip"] == NEAR
        assert hit.rtt is None or 0 <= hit.rtt < 30
        if hit.success:
            assert (hit.tcp["mss"], hit.tcp["sack"], hit.ttl) == (1460, True, 64)
            assert hit.tcp["ts_val"] is not None
    bus = [records.parse(line) for line in (tmp_path / "bus").read_bytes().splitlines()]
    assert sorted(record.id for record in bus if isinstance(record, Hit)) == sorted(hit.id for hit in hits)


def test_icmp(net: Veth) -> None:
    done = near(net, "-M", "icmp_echoscan", "-c", "0.5", "-f", "saddr,classification,type", "10.2.0.0/28")
    assert sorted(done.stdout.splitlines()[1:]) == sorted(f"10.2.0.{i},echoreply,0" for i in range(16))


def test_both_engines_give_the_same_records(net: Veth) -> None:
    found = []
    for engine in ("packet", "connect"):
        done = near(
            net, "-p", "80,81", "-c", "0.5", "--engine", engine, "-O", "hits", "--publish", "all", "--scan", "s",
            "10.2.0.0/27",
        )  # fmt: skip
        hits = [record for line in done.stdout.encode().splitlines() if isinstance(record := records.parse(line), Hit)]
        found.append({hit.id: (hit.ip, hit.port, hit.classification, hit.success, hit.probe) for hit in hits})
    assert found[0] == found[1]
    assert len(found[0]) == 64


def test_exactly_so_many_results_and_targets(net: Veth) -> None:
    done = near(net, "-p", "80", "-c", "0.5", "-N", "7", "-O", "list", "10.2.0.0/16")
    assert len(done.stdout.splitlines()) == 7
    done = near(net, "-p", "80", "-c", "0.5", "-n", "50", "-O", "list", "10.2.0.0/16")
    assert len(set(done.stdout.splitlines())) == 50
    assert summary_of(done.stderr)["counters"]["sent"] == 50


def test_a_blocklist_is_kept(net: Veth, tmp_path: Path) -> None:
    (tmp_path / "block").write_text("10.2.0.16/28 # asked us to\n10.2.0.0\n")
    done = near(net, "-p", "80", "-c", "0.5", "-b", str(tmp_path / "block"), "10.2.0.0/27")
    assert set(done.stdout.splitlines()[1:]) == {f"10.2.0.{i}" for i in range(1, 16)}
    assert summary_of(done.stderr)["counters"]["sent"] == 15


def test_a_network_that_asks_during_the_scan_is_left_alone(net: Veth, tmp_path: Path) -> None:
    block, out = tmp_path / "block", tmp_path / "out"
    block.write_text("10.200.0.0/16\n")
    command = [*COMMAND, "-p", "80", "-c", "0.5", "-r", "2000", "-b", str(block), "-o", str(out), "10.2.0.0/19"]
    argv = net.argv(net.near_pid, command)
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=environment()) as process:
        assert process.stderr is not None
        while "send: " not in process.stderr.readline():
            assert process.poll() is None
        block.write_text("10.2.0.0/16\n")
        process.send_signal(signal.SIGHUP)
        rest = process.stderr.read()
        assert process.wait(60) == 0
    summary = summary_of(rest)
    assert summary["complete"]
    assert summary["position"] == 8192
    assert 0 < summary["counters"]["sent"] < 8192
    assert len(out.read_text().splitlines()) - 1 == summary["counters"]["sent"]


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_cools_down_and_finishes(net: Veth, tmp_path: Path, signum: int, code: int) -> None:
    out = tmp_path / "out"
    argv = net.argv(net.near_pid, [*COMMAND, "-p", "80", "-c", "0.5", "-r", "500", "-o", str(out), "10.2.0.0/16"])
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=environment()) as process:
        assert process.stderr is not None
        seen = ""
        while "send: " not in seen:
            seen = process.stderr.readline()
        process.send_signal(signum)
        rest = process.stderr.read()
        assert process.wait(60) == code
    summary = summary_of(rest)
    assert summary["reason"] == "stopped"
    found = out.read_text().splitlines()[1:]
    assert len(found) == len(set(found)) == summary["tally"]["written"] == summary["position"]


def test_killed_and_resumed_the_union_is_complete(net: Veth, tmp_path: Path) -> None:
    out, state = tmp_path / "out", tmp_path / "scan.checkpoint"
    argv = [*COMMAND, "-p", "80", "-c", "0.3", "-o", str(out)]
    first = [*argv, "-r", "2000", "--checkpoint", str(state), "10.2.0.0/18"]
    with subprocess.Popen(
        net.argv(net.near_pid, first), stderr=subprocess.DEVNULL, cwd=ROOT, env=environment()
    ) as process:
        while not state.exists() or not checkpoint.read(state).position:
            assert process.poll() is None
            os.sched_yield()
        process.kill()
    held = checkpoint.read(state)
    assert 0 < held.position < 16384
    assert not held.finished
    again = near(net, *first[3:])
    assert again.returncode == 2
    assert "is unfinished at position" in again.stderr
    other = near(net, *argv[3:], "--resume", str(state), "10.2.0.0/19")
    assert other.returncode == 2
    assert "addresses: 16384 -> 8192" in other.stderr
    rest = near(net, *argv[3:], "--resume", str(state), "10.2.0.0/18")
    assert rest.returncode == 0, rest.stderr
    assert set(out.read_text().splitlines()[1:]) == addresses("10.2", 16384)
    assert out.read_text().count("saddr") == 1
    assert summary_of(rest.stderr)["counters"]["sent"] == 16384 - held.position
    assert checkpoint.read(state).finished


def ports_and_silence(net: Veth, *rules: str) -> None:
    """Drop at the far side; no rules: nothing any more."""
    text = "table ip quiet\ndelete table ip quiet\n"
    if rules:
        text += "add table ip quiet\nadd chain ip quiet i { type filter hook input priority 0; }\n"
        text += "".join(f"add rule ip quiet i {rule}\n" for rule in rules)
    net.far("nft", "-f", "-", input=text)


#: In the far namespace: (kernel's time in ns, source port, last two bytes of the address, port) of each SYN until told.
SYNS = """
import json, select, socket, struct, sys
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 24)
    sock.setsockopt(socket.SOL_SOCKET, 35, 1)  # SO_TIMESTAMPNS
    sock.bind(("far0", 0x0800))
    print("ready", flush=True)
    seen = []
    while sock in (able := select.select([sock, sys.stdin], [], [])[0]) or sys.stdin not in able:
        frame, extra, _, _ = sock.recvmsg(2048, 64)
        if frame[23] == 6 and frame[47] & 2:
            seconds, rest = struct.unpack("qq", extra[0][2])
            source, port = struct.unpack_from("!HH", frame, 34)
            seen.append((seconds * 10**9 + rest, source, int.from_bytes(frame[32:34], "big"), port))
print(json.dumps(seen))
"""


@pytest.mark.parametrize(("probes", "retries", "interval"), [(1, 2, 0.4), (2, 1, 0.7), (1, 3, 0.0)])
def test_a_silent_target_gets_its_retries_and_one_that_answered_none(
    net: Veth, probes: int, retries: int, interval: float
) -> None:
    require(shutil.which("nft"), "needs nftables")
    ports_and_silence(net, "ip daddr 10.2.0.128/25 drop")
    try:
        with net.program(net.far_pid, PYTHON, "-c", SYNS, ready="ready", ask=True) as capture:
            done = near(
                net, "-p", "80,81", "-c", "0.5", "-P", str(probes), "--retries", str(retries), "--retry-interval",
                str(interval), "-r", "4000", "-O", "hits", "--publish", "all", "10.2.0.0/24",
            )  # fmt: skip
            assert capture.stdin is not None
            assert capture.stdout is not None
            capture.stdin.write("\n")
            capture.stdin.flush()
            seen = json.loads(capture.stdout.readline())
    finally:
        ports_and_silence(net)
    assert done.returncode == 0, done.stderr
    targets: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for when, source, address, port in seen:
        targets.setdefault((address, port), []).append((when, source))
    assert len(targets) == 512
    for (address, _), syns in targets.items():
        assert len({source for _, source in syns}) == len(syns)  # each from a port of its own
        if address < 128 and interval:
            assert len(syns) == probes
        if address >= 128:
            assert len(syns) == probes * (retries + 1)
            rounds = [sorted(when for when, _ in syns)[i * probes] for i in range(retries + 1)]
            assert all(after - before >= interval * 1e9 for before, after in pairwise(rounds))
    hits = [record for line in done.stdout.encode().splitlines() if isinstance(record := records.parse(line), Hit)]
    assert len({(hit.ip, hit.port) for hit in hits}) == 256
    assert {hit.attempt for hit in hits if not hit.repeat} <= set(range(probes * (retries + 1)))
    if interval:
        assert {hit.attempt for hit in hits} == set(range(probes))
    assert summary_of(done.stderr)["counters"]["sent"] == len(seen)


def test_the_attempt_that_was_answered_is_named(net: Veth) -> None:
    """Every target is silent at first; then it hears the second try."""
    require(shutil.which("nft"), "needs nftables")
    ports_and_silence(net, "ip daddr 10.2.0.0/24 drop")
    argv = net.argv(net.near_pid, [
        *COMMAND, "-p", "80", "-c", "1", "--retries", "1", "--retry-interval", "2", "-r", "5000", "-O", "hits",
        "10.2.0.0/24",
    ])  # fmt: skip
    try:
        with subprocess.Popen(
            argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT, env=environment()
        ) as process:
            assert process.stderr is not None
            line = b""
            while b"send: 256" not in line:
                line = process.stderr.readline()
                assert line, "the scan ended early"
            ports_and_silence(net)
            out, _ = process.communicate(timeout=60)
    finally:
        ports_and_silence(net)
    hits = [record for line in out.splitlines() if isinstance(record := records.parse(line), Hit)]
    assert {hit.ip for hit in hits} == {f"10.2.0.{i}" for i in range(256)}
    assert {hit.attempt for hit in hits} == {1}
    assert all(hit.rtt is not None and hit.rtt < 1.5 for hit in hits)  # from the second try on


@pytest.mark.parametrize("engine", ["packet", "connect"])
def test_shards_are_disjoint_and_complete(net: Veth, engine: str) -> None:
    found: list[str] = []
    for shard in range(3):
        done = near(
            net, "-p", "80", "-c", "0.5", "-e", "9", "-n", "50%", "--shards", "3", "--shard", str(shard),
            "--engine", engine, "-T", str(shard + 1), "-O", "list", "10.2.0.0/22",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        addresses_found = done.stdout.splitlines()
        assert len(addresses_found) == len(range(shard, 512, 3))
        found += addresses_found
    whole = near(net, "-p", "80", "-c", "0.5", "-e", "9", "-n", "512", "-O", "list", "10.2.0.0/22")
    assert sorted(found) == sorted(whole.stdout.splitlines())


@pytest.mark.slow
@pytest.mark.parametrize(
    "words", [[], ["--shards", "3", "--shard", "1", "--retries", "1", "--retry-interval", "0.1"]],
    ids=["whole", "a shard with retries"],
)  # fmt: skip
def test_killed_five_and_twenty_times_no_target_is_left_out(net: Veth, tmp_path: Path, words: list[str]) -> None:
    """With both cases fifty SIGKILLs at random moments (the same each time; what the scan does then is not)."""
    rnd = random.Random(len(words))
    out, state = tmp_path / "out", tmp_path / "state"
    lives = [rnd.uniform(0.0, 1.4) for _ in range(25)]
    rate, size = 500, 1 << 16
    asked = {
        "argv": ["-p", "80", "-c", "0.2", "-r", str(rate), "-e", "5", "-O", "list", "-o", str(out), "-q", *words,
                 "10.2.0.0/16"],
        "checkpoint": str(state), "lives": lives, "last": ["-r", "20000"], "marks": 0.05, "delay": 0.2,
    }  # fmt: skip
    assert sum(lives) * rate < size // 3, "it would be over before it was killed so often"
    told = json.loads(near_program(net, "tests.servers.kill_scan", json.dumps(asked)))
    assert told["code"] == 0
    positions = [position for position in told["positions"] if position is not None]
    assert positions == sorted(positions)
    assert len(set(positions)) >= 6, "it was hardly ever killed at work"
    assert checkpoint.read(state).finished
    found = out.read_text().splitlines()
    space = Space.build([(10 << 24 | 2 << 16, 10 << 24 | 2 << 16 | 0xFFFF)], [80])
    shard, shards = (1, 3) if words else (0, 1)
    right = space.at(Permutation(size, 5).at(np.arange(shard, size, shards, dtype=np.uint64)))[0]
    assert set(found) == {f"10.2.{(a >> 8) & 255}.{a & 255}" for a in right.tolist()}
    assert checkpoint.read(state).counters["success"] >= len(right)


def near_program(net: Veth, module: str, text: str) -> str:
    return net.near(PYTHON, "-m", module, input=text, timeout=150).stdout


def test_who_answered_before_the_kill_is_a_repeat_behind_it(net: Veth, tmp_path: Path) -> None:
    """The window that is probed again was published already: nothing stands twice in the file."""
    out, state = tmp_path / "out", tmp_path / "state"
    words = [*COMMAND, "-p", "80", "-c", "3", "-q", "-O", "list", "-o", str(out), "-r", "1000", "10.2.0.0/19"]
    with subprocess.Popen(
        net.argv(net.near_pid, [*words, "--checkpoint", str(state)]), stderr=subprocess.DEVNULL, cwd=ROOT,
        env=environment(),
    ) as process:  # fmt: skip
        while not state.exists() or checkpoint.read(state).seen < 8 * 1000:
            assert process.poll() is None
            time.sleep(0.02)
        process.kill()
    held = checkpoint.read(state)
    written = out.read_text().splitlines()
    assert held.position < held.seen // 8 <= len(written)
    rest = near(net, *words[3:], "-r", "10000", "--resume", str(state))
    assert rest.returncode == 0, rest.stderr
    found = out.read_text().splitlines()
    assert set(found) == addresses("10.2", 8192)
    assert len(found) - len(set(found)) <= len(written) - held.seen // 8  # what no checkpoint had counted yet
    counters = checkpoint.read(state).counters
    assert counters["sent"] >= 8192
    assert counters["repeats"] >= held.seen // 8 - held.position
    assert not Path(f"{state}.seen").exists()


def test_so_many_results_over_all_runs(net: Veth, tmp_path: Path) -> None:
    out, state = tmp_path / "out", tmp_path / "state"
    words = ["-p", "80", "-c", "0.5", "-q", "-O", "list", "-o", str(out), "-r", "2000", "10.2.0.0/20"]
    first = near(net, *words, "-N", "300", "--checkpoint", str(state))
    assert first.returncode == 0, first.stderr
    assert near(net, *words, "-N", "300", "--resume", str(state)).returncode == 0
    assert len(out.read_text().splitlines()) == 300
    assert near(net, *words, "-N", "500", "--resume", str(state)).returncode == 0
    found = out.read_text().splitlines()
    assert len(found) == len(set(found)) == 500


def test_a_second_signal_leaves_the_checkpoint(net: Veth, tmp_path: Path) -> None:
    state = tmp_path / "state"
    words = [*COMMAND, "-p", "80", "-c", "1", "-r", "1000", "-o", str(tmp_path / "out"), "10.2.0.0/19"]
    argv = net.argv(net.near_pid, [*words, "--checkpoint", str(state)])
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=environment()) as process:
        assert process.stderr is not None
        while not state.exists() or not checkpoint.read(state).position:
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        while "once more leaves at once" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
    assert 0 < checkpoint.read(state).position < 8192
    rest = near(net, *words[3:], "-r", "10000", "--resume", str(state))
    assert rest.returncode == 0, rest.stderr
    assert set((tmp_path / "out").read_text().splitlines()[1:]) == addresses("10.2", 8192)


def test_bad_words_about_the_order_send_nothing(net: Veth, tmp_path: Path) -> None:
    (tmp_path / "damaged").write_text('{"longline": "checkpoint", "v": 2}')
    (tmp_path / "list").write_text("10.2.0.1\n10.2.0\n")
    assert "frame[23] == 6 and frame[47] & 2" in SYNS
    every = SYNS.replace("frame[23] == 6 and frame[47] & 2", "len(frame) >= 38")  # UDP and ICMP too
    with net.program(net.far_pid, PYTHON, "-c", every, ready="ready", ask=True) as capture:
        for words, problem in (
            (["-p", "80", "-P", "0"], "greater than or equal to 1"),
            (["-p", "80", "-P", "3", "-s", "40000-40001"], "3 probes a target (-P) need as many source ports (-s)"),
            (["-p", "80", "-P", "2", "--retries", "1", "-s", "40000-40002"], "4 probes a target (-P and --retries)"),
            (["-p", "80", "-P", "100", "--retries", "2"], "are more than 255"),
            (["-p", "80", "--shards", "4", "--shard", "4", "-e", "1"], "--shard 4: shards are counted from 0"),
            (["-p", "80", "--shards", "4"], "--shards: 4: needs --seed"),
            (["-p", "80", "--shards", "0"], "greater than or equal to 1"),
            (["-p", "80", "--resume", str(tmp_path / "damaged")], "the checkpoint is damaged"),
            (["-p", "80", "-n", "0"], "no targets at all"),
            (["-p", "53", "--engine", "connect", "-M", "udp"], "--engine: 'connect': ordinary connections are tcp_"),
            (["--engine", "connect", "-M", "icmp_echoscan"], "-M/--probe-module icmp_echoscan needs packets"),
            (["-p", "80", "--engine", "connect", "-i", "near0"], "--engine: 'connect': -i needs packets"),
            (["-p", "80", "-I", str(tmp_path / "list")], "list:2: '10.2.0': not an address"),
            ([], "tcp_synscan needs to know which ports to scan"),
        ):
            targets = [] if "-I" in words else ["10.2.0.0/24"]
            done = near(net, *words, *targets)
            assert (done.returncode, done.stdout) == (2, ""), done.stderr
            assert problem in done.stderr
        assert capture.stdin is not None
        assert capture.stdout is not None
        capture.stdin.write("\n")
        capture.stdin.flush()
        assert json.loads(capture.stdout.readline()) == []


def test_no_permission_names_the_capability_and_auto_does_without(net: Veth) -> None:
    require(shutil.which("setpriv"), "needs setpriv")
    prefix = ("setpriv", "--bounding-set=-net_raw", "--inh-caps=-net_raw")
    done = near(net, "--engine", "packet", "-p", "80", "10.2.0.0/28", prefix=prefix)
    assert done.returncode == 1
    assert "longline: sending packets needs CAP_NET_RAW" in done.stderr
    assert "--engine connect" in done.stderr
    assert done.stdout == ""
    done = near(net, "-p", "80", "-O", "list", "10.2.0.0/28", prefix=prefix)
    assert set(done.stdout.splitlines()) == {f"10.2.0.{i}" for i in range(16)}
    assert "CAP_NET_RAW" in done.stderr


def test_an_interface_that_is_down_or_missing(net: Veth) -> None:
    net.near("ip", "link", "add", "down0", "type", "veth", "peer", "name", "down1")
    for name, words in (("down0", "down0 is down"), ("none0", "no interface 'none0'")):
        done = near(net, "-p", "80", "-i", name, "10.2.0.0/28")
        assert (done.returncode, done.stdout) == (2, "")
        assert words in done.stderr


def test_a_reader_that_goes_away_ends_the_scan(net: Veth) -> None:
    command = " ".join([*COMMAND, "-p", "80", "-r", "2000", "-O", "list", "10.0.0.0/8", "|", "head", "-n", "3"])
    done = net.near("bash", "-c", f"set -o pipefail; {command}", check=False)
    assert len(done.stdout.splitlines()) == 3
    assert done.returncode == 0
    assert summary_of(done.stderr)["reason"] == "reader-gone"


def test_bad_arguments_touch_nothing(net: Veth, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    for argv in (["-p", "70000"], ["-p", "80", "10.0.0.0/99"], ["-p", "80", "-b", str(tmp_path / "none")]):
        done = near(net, *argv, "-o", str(tmp_path / "file"))
        assert done.returncode == 2
        assert (tmp_path / "file").read_text() == "precious"
    for option, code in (("-o", 2), ("--checkpoint", 1)):
        done = near(net, "-p", "80", option, str(tmp_path / "none" / "file"), "10.2.0.0/28")
        assert done.returncode == code
        assert "none/file" in done.stderr


# -- ordinary connections ---------------------------------------------------------------------------------------------

HIDDEN = """
import select, socket, sys
del select.epoll, select.poll  # before asyncio and selectors look
for name in ("AF_PACKET", "AF_NETLINK", "MSG_ERRQUEUE", "IP_RECVERR", "SOCK_NONBLOCK"):
    if hasattr(socket, name):
        delattr(socket, name)
for name in ("numba", "llvmlite", "pyroute2", "scapy", "uvloop", "resource"):
    sys.modules[name] = None
from tests.servers.run_scan import main
sys.exit(main())
"""


@pytest.fixture
def port() -> Iterator[int]:
    with socket.create_server(("127.68.0.3", 0)) as server:
        yield int(server.getsockname()[1])


def test_where_there_is_no_epoll_netlink_packet_socket_or_compiler(port: int) -> None:
    argv = [PYTHON, "-c", HIDDEN, "-p", str(port), "-O", "hits", "127.68.0.0/28"]
    done = subprocess.run(argv, capture_output=True, text=True, cwd=ROOT, env=environment(), timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    assert json.loads(line)["ip"] == "127.68.0.3"
    assert "AF_PACKET" in done.stderr


async def test_lists_are_watched_unless_somebody_else_does(port: int, tmp_path: Path) -> None:
    (tmp_path / "block").write_text("127.68.0.3\n")
    lists = ListSettings(blocklist_file=(str(tmp_path / "block"),), poll=0.05)
    given: list[Policy] = []
    settings = ScannerSettings(
        targets=("127.68.0.0/29",), target_ports=str(port), engine="connect", output_file=str(tmp_path / "out"),
        output_module="list", publish="all",
    )  # fmt: skip
    summary = await scan(settings, lists=lists, on_policy=given.append)
    assert summary.counters.sent == 7
    assert given[0].blocked("127.68.0.3")
    # A network that asks while the scan runs is left alone from then on.
    slow = settings.model_copy(update={"targets": ("127.68.0.0/24",), "rate": 100.0})
    metrics = ScannerMetrics()
    task = asyncio.create_task(scan(slow, lists=lists, metrics=metrics))
    async with asyncio.timeout(20):
        while not metrics.sent.total:
            await asyncio.sleep(0.01)
        # What cannot be read as a whole is counted, and changes nothing.
        reloads = metrics.all["longline_list_reloads"]
        assert isinstance(reloads, Counter)
        (tmp_path / "block").write_text("127.68.0.0/24\n127.68.0.0/99\n")
        while not reloads.value("failed"):
            await asyncio.sleep(0.01)
        before = metrics.sent.total
        while metrics.sent.total == before:
            await asyncio.sleep(0.01)
        (tmp_path / "block").write_text("127.68.0.0/24\n")
        summary = await task
    assert reloads.value("ok") == 1
    assert summary.complete
    assert summary.counters.sent < 200


async def test_a_dry_run_sends_nothing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    settings = ScannerSettings(
        targets=("10.0.0.0/30",),
        target_ports="80",
        dryrun=True,
        output_file=str(tmp_path / "out"),
        source_ip="192.0.2.2",
    )
    summary = await scan(settings)
    assert capsys.readouterr().out.count("tcp { source: ") == 4
    assert (summary.engine, summary.position, summary.counters.sent) == ("dryrun", 4, 0)
    assert not (tmp_path / "out").exists()


async def test_a_scan_that_is_finished_is_not_done_again(port: int, tmp_path: Path) -> None:
    settings = ScannerSettings(
        targets=("127.68.0.0/29",), target_ports=str(port), engine="connect", output_file=str(tmp_path / "out")
    )
    first = await scan(settings, checkpoint=tmp_path / "c", resume=True)  # nothing there yet: it begins
    again = await scan(settings, checkpoint=tmp_path / "c", resume=True)
    assert (first.counters.sent, again.counters.sent) == (8, 0)
    assert again.complete
    assert again.scan == first.scan
    other = await scan(settings, checkpoint=tmp_path / "c")
    assert other.counters.sent == 8
    assert other.scan != first.scan
