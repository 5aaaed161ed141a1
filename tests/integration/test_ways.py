"""The scanner's own connection, gone on with: each way finds what the truth says, and says by which way.

The servers are real (HTTP, TLS of every kind, SSH that speaks first); what each of them says is known, and is what
`connect` gets of them (test_pipes.py asks by `connect` and compares with the same truth).
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from stages.core.outcome import Outcome
from stages.simnet.network import Simnet
from stages.simnet.wiring import NEAR_ADDRESS
from tests.integration import plans
from tests.integration.test_pipes import assert_as_the_truth_says, banner, piped, tls
from tests.integration.topics import Log
from tests.integration.workers import LONGLINE, PATIENCE, Worker, until

SCAN = ("-r", "5000", "-c", str(plans.COOLDOWN), "-q")
#: As plans.BANNERS has it.
GRAB = ("--wait", "1")

#: What the first one waits for counts too.
pytestmark = pytest.mark.timeout(900)

#: The first start on a machine compiles the engine's kernels for a minute or two.
FIRST = 400.0


def scan(net: Simnet, folder: Path, *words: str) -> tuple[list[dict[str, Any]], str]:
    """The records that a scan prints, and what it says; it must end well."""
    with (folder / "said").open("wb") as said:
        process = net.run(
            [LONGLINE, "scan", *SCAN, *words, *net.spec.targets],
            stdout=subprocess.PIPE, stderr=said, stdin=subprocess.DEVNULL, cwd=folder,
        )  # fmt: skip
        output, _ = process.communicate(timeout=FIRST)
    text = (folder / "said").read_text()
    assert process.returncode == 0, text
    return [orjson.loads(line) for line in output.splitlines()], text


def quiet_again(net: Simnet) -> None:
    """Not a rule of ours is left."""

    def gone() -> bool:
        listed = net.run(["nft", "list", "tables"], stdout=subprocess.PIPE)
        output, _ = listed.communicate(timeout=PATIENCE)
        return b"longline_" not in output

    until(gone, "the rule is gone")


def split(records: Sequence[dict[str, Any]], kind: str) -> tuple[list[dict[str, Any]], list[bytes]]:
    """(hits, lines of the other kind). Each of those belongs to a hit, and each hit has one."""
    hits = [record for record in records if record["kind"] == "hit"]
    others = [record for record in records if record["kind"] == kind]
    assert len(hits) + len(others) == len(records)
    assert sorted(record["hit"] for record in others) == sorted(record["id"] for record in hits)
    return hits, [orjson.dumps(record) for record in others]


@pytest.mark.slow
def test_scan_grab_with_a_payload(town: Simnet, tmp_path: Path) -> None:
    records, said = scan(town, tmp_path, "-p", "80", "--grab", "http-req", *GRAB)
    _, lines = split(records, "banner")
    assert {orjson.loads(line)["via"] for line in lines} == {"raw"}, said
    assert_as_the_truth_says(town, [banner(line) for line in lines], 80)
    quiet_again(town)


@pytest.mark.slow
def test_scan_grab_of_who_speaks_first(town: Simnet, tmp_path: Path) -> None:
    """The dialogue that is compiled with the engine, as its payload is the same for all; banners in their own file."""
    (tmp_path / "words").write_bytes(b"GET / HTTP/1.0\r\n\r\n")
    records, said = scan(town, tmp_path, "-p", "22", "--grab", "words", "--grab-output", "b", "-O", "hits", *GRAB)
    assert {record["kind"] for record in records} == {"hit"}
    lines = (tmp_path / "b").read_bytes().splitlines()
    assert {orjson.loads(line)["via"] for line in lines} == {"raw"}, said
    assert_as_the_truth_says(town, [banner(line) for line in lines], 22)


@pytest.mark.slow
def test_scan_grab_of_certificates(town: Simnet, tmp_path: Path) -> None:
    records, said = scan(town, tmp_path, "-p", "443", "--grab", "tls", "--read-timeout", "4")
    _, lines = split(records, "tls")
    assert {orjson.loads(line)["via"] for line in lines} == {"raw"}, said
    found = [tls(line) for line in lines]
    assert len(found) == sum(e.port == 443 for e in town.expected())
    # Who refuses the first hello is not asked again: it takes another connection. All others are as the truth has them.
    assert sum(each.outcome == Outcome.OK for each in found) > 50


@pytest.mark.slow
def test_a_scan_that_stops_at_so_many_results_waits_for_what_they_say(town: Simnet, tmp_path: Path) -> None:
    records, _ = scan(town, tmp_path, "-p", "80", "-N", "20", "--grab", "http-req", *GRAB)
    hits, _ = split(records, "banner")
    assert len(hits) == 20


@pytest.mark.slow
@pytest.mark.parametrize("via", ["adopt", "raw"])
def test_held_connections_in_a_pipe(town: Simnet, tmp_path: Path, via: str) -> None:
    """The manual's forge-socket example, without a kernel module."""
    lines, said = piped(
        town,
        tmp_path,
        [LONGLINE, "scan", *SCAN, "-p", "80", "-O", "hits", "--hold", *town.spec.targets],
        [LONGLINE, "bannergrab", "--via", via, "-c", "8000", *plans.BANNERS, "--per-prefix", "0"],
    )
    assert {orjson.loads(line)["via"] for line in lines} == {via}, said
    assert_as_the_truth_says(town, [banner(line) for line in lines], 80)
    quiet_again(town)


@pytest.mark.slow
def test_hits_of_a_scanner_by_kafka(town: Simnet, tmp_path: Path, log: Log) -> None:
    """They go to that scanner's topic alone; its one consumer goes on with them, by packets."""
    topic = log.topics.hits_of("here")
    worker = Worker(
        town, tmp_path, "bannergrab", *log.words, "--via", "raw", "--scanner", "here", "--per-prefix", "0",
        "--max-hit-age", "300", *plans.BANNERS,
    )  # fmt: skip
    worker.start()
    try:
        until(lambda: worker.ready, "bannergrab is ready")
        scan(town, tmp_path, "-p", "80", "--hold", "--scanner", "here", "--hold-time", "1", *log.words)
        until(lambda: log.behind("bannergrab", [topic]) == 0, "all hits are done", FIRST)
    finally:
        worker.stop()
    lines = [line for value, _ in log.read(log.topics.banners) for line in value.splitlines()]
    assert {orjson.loads(line)["via"] for line in lines} == {"raw"}, worker.log.read_text()
    assert_as_the_truth_says(town, [banner(line) for line in lines], 80)
    assert not log.read(log.topics.hits)


@pytest.mark.slow
def test_without_the_capability_everything_is_dialled(
    town: Simnet, tmp_path: Path, without: Callable[[str], list[str]]
) -> None:
    """And every record says so."""
    with (tmp_path / "said").open("wb") as said:
        process = town.run(
            [*without("net_admin"), LONGLINE, "scan", *SCAN, "-p", "80", "--grab", "http-req", *GRAB,
             *town.spec.targets],
            stdout=subprocess.PIPE, stderr=said, cwd=tmp_path,
        )  # fmt: skip
        output, _ = process.communicate(timeout=FIRST)
    text = (tmp_path / "said").read_text()
    assert process.returncode == 0, text
    assert text.count("hits are dialled anew (via connect)") == 1
    assert "CAP_NET_ADMIN" in text
    _, lines = split([orjson.loads(line) for line in output.splitlines()], "banner")
    assert {orjson.loads(line)["via"] for line in lines} == {"connect"}
    assert_as_the_truth_says(town, [banner(line) for line in lines], 80)


_HOLDER = """
import signal, socket, sys
server = socket.create_server((sys.argv[1], int(sys.argv[2])))
print("ready", flush=True)
signal.pause()
"""


@pytest.mark.slow
def test_a_port_that_somebody_has_is_not_cut_off(town: Simnet, tmp_path: Path) -> None:
    """The rule would drop what comes for it: no rule then, and the hits are dialled."""
    holder = town.run([sys.executable, "-c", _HOLDER, NEAR_ADDRESS, "40005"], stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"ready\n"
        with (tmp_path / "said").open("wb") as said:
            process = town.run(
                [LONGLINE, "scan", *SCAN, "-p", "80", "-s", "40000-40010", "--grab", "http-req", *GRAB,
                 *town.spec.targets],
                stdout=subprocess.PIPE, stderr=said, cwd=tmp_path,
            )  # fmt: skip
            output, _ = process.communicate(timeout=FIRST)
    finally:
        holder.kill()
        holder.communicate()
    text = (tmp_path / "said").read_text()
    assert process.returncode == 0, text
    assert f"in use on this host: {NEAR_ADDRESS} port 40005 (listening)" in text
    _, lines = split([orjson.loads(line) for line in output.splitlines()], "banner")
    assert {orjson.loads(line)["via"] for line in lines} == {"connect"}
    assert_as_the_truth_says(town, [banner(line) for line in lines], 80)


@pytest.fixture
def without() -> Callable[[str], list[str]]:
    """A prefix that takes a capability away, for good."""
    return lambda name: ["setpriv", f"--bounding-set=-{name}", f"--inh-caps=-{name}"]
