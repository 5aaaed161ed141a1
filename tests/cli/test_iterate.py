from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cli.command import argv, longline
from tests.require import require


def test_it_prints_the_scan_s_targets_in_the_scan_s_order(tmp_path: Path) -> None:
    (tmp_path / "block").write_text("10.0.0.3\n")
    words = ("-p", "80,443", "-e", "5", "-n", "50%", "-b", tmp_path / "block", "10.0.0.0/29")
    lines = longline("iterate", *words).stdout.splitlines()
    assert len(lines) == len(set(lines)) == 7
    dry = longline("scan", "--dryrun", *words).stdout
    daddrs = [line.split("daddr: ")[1].split(" ")[0] for line in dry.splitlines() if "daddr" in line]
    ports = [line.split("dest: ")[1].split(" ")[0] for line in dry.splitlines() if "dest" in line]
    assert lines == [f"{a},{p}" for a, p in zip(daddrs, ports, strict=True)]
    parts = [longline("iterate", *words, "--shards", "3", "--shard", k, "-T", "2").stdout.splitlines() for k in "012"]
    assert parts == [lines[k::3] for k in range(3)]


def test_without_ports_addresses_only(tmp_path: Path) -> None:
    (tmp_path / "list").write_text("192.0.2.1\n10.0.0.1\n192.0.2.1\n")
    lines = longline("iterate", "-e", "1", "-I", tmp_path / "list").stdout.splitlines()
    assert sorted(lines) == ["10.0.0.1", "192.0.2.1"]
    (tmp_path / "allow").write_text("10.0.0.0/30\n")
    assert len(longline("iterate", "-w", tmp_path / "allow").stdout.splitlines()) == 4


def test_binary_needs_no_privilege_and_a_reader_may_go() -> None:
    require(shutil.which("setpriv"), "needs setpriv")
    words = argv("iterate", "--binary", "-p", "*", "-e", "3")
    nobody = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", *words]
    with subprocess.Popen(nobody, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        first = process.stdout.read(6 * 1000)
        process.stdout.close()
        assert process.wait(60) == 141
        assert process.stderr.read() == b""
    targets = {first[i : i + 6] for i in range(0, 6000, 6)}
    assert len(targets) == 1000
    text = longline("iterate", "-p", "*", "-e", "3", "-n", "1000").stdout.splitlines()
    assert {bytes([*map(int, a.split("."))]) + int(p).to_bytes(2, "big") for a, p in (t.split(",") for t in text)} == (
        targets
    )


@pytest.mark.parametrize(("words", "told"), [
    (["--shards", "2", "--shard", "2", "-e", "1"], "--shard 2"), (["--shards", "2"], "needs --seed"),
    (["-I", "/nonexistent/list"], "/nonexistent/list"), (["-n", "0"], "no targets"),
    (["--binary", "::1"], "--binary"), (["-p", "70000"], "70000"), (["127.0.0.1", "-b", "BLOCK"], "nothing is left"),
    (["-I", "LIST"], "BLOCK:2: 'ten'"), (["-I", "LIST", "10.0.0.1"], "-I names the targets"),
])  # fmt: skip
def test_bad_input(words: list[str], told: str, tmp_path: Path) -> None:
    (tmp_path / "BLOCK").write_text("127.0.0.0/8\n")
    (tmp_path / "LIST").write_text("10.0.0.1\nten\n")
    ran = longline("iterate", *words, cwd=tmp_path)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert told.replace("BLOCK", "LIST") in ran.stderr


def test_the_options_of_ziterate(tmp_path: Path) -> None:
    """-p -b -w -l -v -e -n --shards --shard --disable-syslog --ignore-blocklist-errors"""
    (tmp_path / "block").write_text("10.0.0.0/25\nnonsense!\n")
    (tmp_path / "allow").write_text("10.0.0.0/24\n")
    ran = longline(
        "iterate", "-p", "80", "-b", tmp_path / "block", "-w", tmp_path / "allow", "-l", tmp_path / "log", "-v", "3",
        "-e", "5", "-n", "100", "--shards", "2", "--shard", "1", "--disable-syslog", "--ignore-blocklist-errors",
    )  # fmt: skip
    assert (ran.returncode, ran.stderr) == (0, "")
    lines = ran.stdout.split()
    assert len(set(lines)) == len(lines) == 50
    assert all(int(line.split(",")[0].split(".")[3]) >= 128 and line.endswith(",80") for line in lines)
    assert "left out" in (tmp_path / "log").read_text()
