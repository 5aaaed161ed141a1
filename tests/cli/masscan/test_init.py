"""`longline masscan` on a network: beside masscan the same is found; files are whole, whatever ends the scan."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from libnmap.parser import NmapParser

from stages.scanner.masscan.items import Status
from stages.scanner.masscan.reading import read_items
from tests.cli.command import longline
from tests.require import require
from tests.servers.veth import Veth, environment, veth

#: Where the far side answers.
PREFIX = "10.0.0.0/26"
HOSTS = [f"10.0.0.{n}" for n in range(64)]
#: Seconds for what is waited for.
PATIENCE = 60


@pytest.fixture(scope="module")
def pair() -> Iterator[Veth]:
    with veth() as made:
        made.far("sysctl", "-qw", "net.ipv4.icmp_ratelimit=0")
        with (
            made.program(made.far_pid, sys.executable, "-m", "tests.servers.datagrams", "53=echo", ready="ready"),
            made.program(made.far_pid, sys.executable, "-m", "tests.servers.listener", "80", ready="ready"),
        ):
            yield made


def far_mac(pair: Veth) -> str:
    return json.loads(pair.far("ip", "-j", "link", "show", "far0").stdout)[0]["address"]  # type: ignore[no-any-return]


def ours(*words: str) -> list[str]:
    return [sys.executable, "-m", "stages.cli.main", "masscan", "--no-system-config", "--nostatus", *words]


def found(path: Path) -> set[tuple[str, str, int, str]]:
    items = list(read_items(path.read_bytes()))
    return {(item.ip, item.proto, item.port, item.state) for item in items if isinstance(item, Status)}


@pytest.mark.parametrize("form", ["json", "binary"])
def test_the_same_command_finds_the_same(pair: Veth, form: str, tmp_path: Path) -> None:
    """A script that calls masscan works with another name in its place."""
    require(shutil.which("masscan"), "needs masscan")
    letter = {"json": "J", "binary": "B"}[form]
    words = [
        "10.0.0.0/28", "-p80,81,U:53", "--ping", "--exclude", "10.0.0.7", "--rate", "200", "--wait", "3",
        "--show", "closed",
        "-e", "near0", "--router-mac", far_mac(pair).replace(":", "-"), f"-o{letter}",
    ]  # fmt: skip
    # It loses some of what comes quickly: it may ask again. And it may go on waiting when all is found: then ^C has
    # it write its end.
    patience = ("timeout", "-s", "INT", "-k", str(PATIENCE), str(PATIENCE))
    pair.near(*patience, "masscan", *words, str(tmp_path / "theirs"), "--retries", "1", check=False, timeout=150)
    told = pair.near(*ours(*words, str(tmp_path / "ours")))
    assert told.stdout == ""
    wanted = {
        (host, proto, port, state)
        for host in HOSTS[:16]
        if host != "10.0.0.7"
        for proto, port, state in (("tcp", 80, "open"), ("tcp", 81, "closed"), ("icmp", 0, "open"), ("udp", 53, "open"))
    }
    assert found(tmp_path / "ours") == wanted
    assert found(tmp_path / "theirs") == wanted


def test_on_the_screen(pair: Veth) -> None:
    told = pair.near(*ours("10.0.0.0/30", "-p80", "--wait", "1"))
    assert sorted(told.stdout.splitlines()) == [f"Discovered open port 80/tcp on 10.0.0.{n}" for n in range(4)]


def test_every_format_from_a_scan(pair: Veth, tmp_path: Path) -> None:
    for letter in "XJDLGUBH":
        file = tmp_path / letter
        pair.near(*ours("10.0.0.0/30", "-p80", "--wait", "0.5", "--rate", "1000", f"-o{letter}", str(file)))
        assert len(list(read_items(file.read_bytes()))) == 4
    assert len(json.loads((tmp_path / "J").read_text())) == 4
    assert len(NmapParser.parse_fromfile(str(tmp_path / "X")).hosts) == 4


def begun(pair: Veth, cwd: Path, *words: str) -> subprocess.Popen[str]:
    """A scan that goes on for minutes, in a folder of its own."""
    return subprocess.Popen(
        pair.argv(pair.near_pid, ours(PREFIX, "-p80,443,U:53", "--rate", "20", "--wait", "1", *words)),
        cwd=cwd, text=True, stderr=subprocess.PIPE, env=environment() | {"PYTHONPATH": str(Path.cwd())},
    )  # fmt: skip


def until_it_writes(file: Path, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + PATIENCE
    while not (file.exists() and len(list(read_items(file.read_bytes()))) >= 3):
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize("letter", ["J", "X"])
def test_a_file_is_whole_while_the_scan_runs_and_after_a_kill(pair: Veth, letter: str, tmp_path: Path) -> None:
    file = tmp_path / "out"
    process = begun(pair, tmp_path, f"-o{letter}", str(file))
    try:
        until_it_writes(file, process)
    finally:
        process.kill()
        process.communicate()
    text = file.read_text()
    if letter == "J":
        assert len(json.loads(text)) >= 3
    else:
        assert len(NmapParser.parse_fromstring(text).hosts) >= 3


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_scan_goes_on_exactly(pair: Veth, signum: int, code: int, tmp_path: Path) -> None:
    """paused.conf, and --resume with it: all is found, each once, in one file that parses."""
    file = tmp_path / "out.json"
    process = begun(pair, tmp_path, "-oJ", "out.json", "--exclude", "10.0.0.9", "--show", "closed")
    until_it_writes(file, process)
    process.send_signal(signum)
    _, told = process.communicate(timeout=PATIENCE)
    assert process.returncode == code
    assert "longline masscan --resume paused.conf" in told
    assert sorted(path.name for path in tmp_path.iterdir() if not path.name.endswith(".seen")) == [
        "out.json", "paused.checkpoint", "paused.conf",
    ]  # fmt: skip
    before = json.loads(file.read_text())
    again = pair.argv(pair.near_pid, ours("--resume", "paused.conf", "--rate", "2000"))
    env = environment() | {"PYTHONPATH": str(Path.cwd())}
    subprocess.run(again, cwd=tmp_path, env=env, timeout=PATIENCE, check=True, capture_output=True)
    after = json.loads(file.read_text())
    assert after[: len(before)] == before
    seen = [(host["ip"], port["proto"], port["port"]) for host in after for port in host["ports"]]
    assert len(seen) == len(set(seen)) == 63 * 3
    assert [path.name for path in tmp_path.iterdir() if "checkpoint" in path.name] == []


def test_it_is_told_what_is_wrong_and_nothing_is_touched(tmp_path: Path) -> None:
    out = tmp_path / "out.xml"
    out.write_text("keep me")
    for words in (("-p80",), ("10.0.0.1",), ("10.0.0.1", "-p99999"), ("10.0.0.1", "-p80", "--bogus")):
        done = longline("masscan", *words, "-oX", out, "--no-system-config")
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("longline masscan: ")
    assert out.read_text() == "keep me"


def test_what_tells_and_does_nothing() -> None:
    assert longline("masscan", "--version").stdout.startswith("longline ")
    assert "longline masscan -p80" in longline("masscan", "--help").stdout
    assert "-sT" in longline("masscan", "--nmap").stdout
    assert "lo\n" in longline("masscan", "--iflist").stdout
    assert longline("masscan").returncode == 2
    told = longline("masscan", "10.0.0.0/28", "-p80,U:53", "--offline", "--no-system-config")
    assert "100.00% done, 32 packets built, none sent" in told.stderr
    told = longline("masscan", "10.0.0.0/30", "-p80,U:53", "--offline", "--packet-trace", "--no-system-config")
    assert (told.stdout.count("tcp {"), told.stdout.count("udp {")) == (4, 4)


def test_banners_go_on_with_connections() -> None:
    done = longline("masscan", "10.0.0.1", "-p80", "--banners", "--echo", "--spec", "--no-system-config")
    assert (done.returncode, done.stderr) == (0, "")
    assert '[grab]\nwhat = "http-req"\nwait = 2.0\n' in done.stdout
