"""`longline scan`, by ordinary connections on loopback; by packets: tests/scanner and tests/integration."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from stages.net.privileges import KEPT
from tests.cli.command import PATIENCE, argv, longline
from tests.servers.redis import redis_server
from tests.servers.talkers import nobody, talker
from tests.servers.veth import ROOT, environment, veth

QUICK = ("--engine", "connect", "-c", "0", "-q")


def test_found_addresses_go_to_standard_output_and_nothing_else() -> None:
    with talker(lambda connection: None) as (host, port), nobody() as (closed, _):
        ran = longline("scan", *QUICK, "-p", str(port), host, closed)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == ["saddr", host]
    assert "10,000 probes/s" in ran.stderr  # the default rate is said


def test_hits_are_whole_records() -> None:
    with talker(lambda connection: None) as (host, port):
        ran = longline("scan", *QUICK, "-O", "hits", "--scan", "mine", "-p", str(port), host)
    (hit,) = map(json.loads, ran.stdout.splitlines())
    assert (hit["kind"], hit["scan"], hit["ip"], hit["port"], hit["success"]) == ("hit", "mine", host, port, True)


def test_a_log_gets_hits_and_the_scans_own_records(tmp_path: Path) -> None:
    with talker(lambda connection: None) as (host, port):
        ran = longline("scan", *QUICK, "--bus", f"sqlite:{tmp_path}/bus.db", "-p", str(port), host)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == ""
    sunk = subprocess.Popen(
        argv("sink", "--bus", f"sqlite:{tmp_path}/bus.db", "--store", f"sqlite:{tmp_path}/store.db"),
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        shown = ""
        while '"end"' not in shown:
            shown = longline("query", "scans", "--json", "--store", f"sqlite:{tmp_path}/store.db").stdout
            assert sunk.poll() is None
    finally:
        sunk.send_signal(signal.SIGTERM)
        assert sunk.wait(PATIENCE) == 128 + signal.SIGTERM
        assert sunk.stderr is not None
        sunk.stderr.close()
    assert json.loads(shown)["start"]["spec"]["targets"]


def test_a_signal_ends_it_in_order(tmp_path: Path) -> None:
    """SIGINT while probes still leave: exit code 130, and the output is whole."""
    with talker(lambda connection: None) as (host, port):
        scan = subprocess.Popen(
            argv("scan", *QUICK, "-r", "50", "-p", f"{port},1-2000", "-o", str(tmp_path / "found.csv"), host),
            stderr=subprocess.PIPE,
            text=True,
        )
        assert scan.stderr is not None
        for line in scan.stderr:
            if "50 probes/s" in line:
                break
        scan.send_signal(signal.SIGINT)
        assert scan.wait(PATIENCE) == 130
        scan.stderr.close()
    assert (tmp_path / "found.csv").read_text().startswith("saddr,sport\n")


def test_dry_run_prints_packets_and_sends_none() -> None:
    ran = longline("scan", "-d", "-p", "80", "-n", "2", "-S", "10.0.0.9", "10.1.0.0/24")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("tcp { source: ") == 2
    assert ran.stdout.count("ip { saddr: 10.0.0.9 | daddr: 10.1.0.") == 2


def test_the_same_command_with_the_same_checkpoint_goes_on(tmp_path: Path) -> None:
    with talker(lambda connection: None) as (host, port):
        words = ["scan", *QUICK, "-e", "3", "-p", f"{port},1-1500", "--checkpoint", str(tmp_path / "c"), host]
        words += ["-o", str(tmp_path / "found.csv")]
        first = subprocess.Popen(argv(*words, "-r", "200"), stderr=subprocess.PIPE, text=True)
        assert first.stderr is not None
        for line in first.stderr:
            if "200 probes/s" in line:
                break
        first.send_signal(signal.SIGTERM)
        assert first.wait(PATIENCE) == 128 + signal.SIGTERM
        first.stderr.close()
        rest = longline(*words, "-r", "5000")
        assert rest.returncode == 0, rest.stderr
        again = longline(*words, "-r", "5000")
        assert again.returncode == 0
        assert "is finished" in again.stderr
    assert (tmp_path / "found.csv").read_text().splitlines() == ["saddr,sport", f"{host},{port}"]


def test_while_packets_are_read_no_thread_has_a_capability_for_the_network() -> None:
    with veth() as net:
        scan = subprocess.Popen(
            net.argv(net.near_pid, argv("scan", "-q", "-c", "60", "-p", "80", "10.2.0.0/28")),
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=environment(),
        )  # fmt: skip
        assert scan.stderr is not None
        assert "xdp engine" in (said := scan.stderr.readline()), said
        # A thread that Python has joined may be seen for a moment longer: the kernel has not yet taken it away.
        deadline = time.monotonic() + PATIENCE
        while any(task & ~KEPT for task in _capabilities(scan.pid)) and time.monotonic() < deadline:
            time.sleep(0.01)
        threads = _capabilities(scan.pid)
        scan.send_signal(signal.SIGINT)
        scan.send_signal(signal.SIGTERM)
        scan.wait(PATIENCE)
        scan.stderr.close()
    assert len(threads) > 1
    assert {task & ~KEPT for task in threads} == {0}


def _capabilities(pid: int) -> list[int]:
    """Of each thread: all that it has or could have."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # it has ended since it was listed
            said = dict(line.split(":", 1) for line in (task / "status").read_text().splitlines())
            found.append(int(said["CapPrm"], 16) | int(said["CapEff"], 16) | int(said["CapAmb"], 16))
    return found


def test_a_filter_says_which_answers_are_written() -> None:
    with talker(lambda connection: None) as (host, port), nobody() as (closed, _):
        ran = longline(
            "scan", *QUICK, "-p", str(port), "--output-filter", f"classification != icmp && saddr != {host}",
            "-f", "saddr,classification", host, closed,
        )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == ["saddr,classification", f"{closed},rst"]


def test_a_wrong_filter_is_shown_and_nothing_is_touched(tmp_path: Path) -> None:
    (tmp_path / "out.csv").write_text("precious")
    ran = longline("scan", "-p", "80", "-o", tmp_path / "out.csv", "--output-filter", "sucess = 1", "127.0.0.1")
    assert ran.returncode == 2
    said, *shown = ran.stderr.splitlines()
    assert said.endswith("--output-filter: tcp_synscan has no field 'sucess'; did you mean 'success'?")
    assert shown == ["  sucess = 1", "  ^^^^^^"]
    assert (tmp_path / "out.csv").read_text() == "precious"


def test_results_in_a_redis_list(tmp_path: Path) -> None:
    with redis_server(tmp_path) as server, talker(lambda connection: None) as (host, port):
        words = ("-p", str(port), "-O", "redis", "--output-args", f"{server.url}?list=found", host)
        ran = longline("scan", *QUICK, *words)
        assert (ran.returncode, ran.stdout) == (0, ""), ran.stderr
        assert server.ask("LRANGE", "found", "0", "-1") == [host]
        server.stop()
        wrong = longline("scan", *QUICK, "-p", "80", "-O", "redis", "--output-args", "nonsense", host)
        assert (wrong.returncode, "--output-args: 'nonsense': not a URL" in wrong.stderr) == (2, True)
