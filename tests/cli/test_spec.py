"""--spec and --echo: a scan as one file, from any command line, and back."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from stages.cli import spec
from stages.core.errors import UsageError
from tests.cli.command import longline

SCANS = [
    ("-p", "80,443", "10.0.0.0/24", "--retries", "2", "-r", "5000", "--exclude", "10.0.0.9"),
    ("--probe", "tcp_synscan:80", "--probe", "dns:53 A,a.example", "10.0.0.0/24", "--seed", "18446744073709551615"),
    ("-M", "udp", "-p", "5060", "--probe-args", 'text:"a\\b" \u007fé', "10.0.0.1", "--no-default-blocklist"),
    ("-p", "80", "10.0.0.0/24", "-O", "xml", "-o", "a b.xml", "--show", "all", "--rotate", "60"),
]


@pytest.mark.parametrize("words", SCANS)
def test_what_is_echoed_is_the_same_scan(words: tuple[str, ...], tmp_path: Path) -> None:
    first = longline("scan", *words, "--echo", cwd=tmp_path, env={"PYTHONPATH": str(Path.cwd())})
    assert (first.returncode, first.stderr) == (0, "")
    tomllib.loads(first.stdout)
    (tmp_path / "scan.toml").write_text(first.stdout)
    again = longline("scan", "--spec", "scan.toml", "--echo", cwd=tmp_path, env={"PYTHONPATH": str(Path.cwd())})
    assert again.stdout == first.stdout


def test_a_masscan_command_line_as_a_specification(tmp_path: Path) -> None:
    words = ("10.0.0.0/24", "-p80,U:53", "--ping", "--rate", "5", "--exclude", "10.0.0.9", "--no-system-config")
    made = longline("masscan", *words, "--echo", "--spec")
    (tmp_path / "scan.toml").write_text(made.stdout)
    told = longline("scan", "--spec", tmp_path / "scan.toml", "--explain")
    assert "probes        tcp_synscan:80; udp:53; icmp_echoscan\n" in told.stdout
    assert "addresses     255 (left out: 1 blocklist)\n" in told.stdout


def test_what_is_typed_wins_and_lists_add_up(tmp_path: Path) -> None:
    file = tmp_path / "scan.toml"
    file.write_text(
        '[scanner]\ntargets = ["10.0.0.0/24"]\ntarget_ports = "80"\nrate = 5\n[lists]\nexclude = ["10.0.0.1"]\n'
    )
    told = longline("scan", "--spec", file, "-r", "9", "--exclude", "10.0.0.2", "--echo").stdout
    values = tomllib.loads(told)
    assert values["scanner"]["rate"] == 9
    assert values["lists"]["exclude"] == ["10.0.0.1", "10.0.0.2"]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (b"[scanner\n", "line 1, column 9"),
        (b"[scaner]\n", "'scaner': no section of a scan; did you mean 'scanner'?"),
        (b"[scanner]\nratte = 1\n", "'scanner.ratte': no such setting; did you mean 'rate'?"),
        (b"[bus]\nurl = 'sqlite:a'\n", "'bus': no section of a scan"),
        (b"\xff", "not a text in UTF-8"),
        (b"scanner = 1\n", "'scanner': no section of a scan"),
    ],
)
def test_what_is_no_specification(text: bytes, named: str, tmp_path: Path) -> None:
    file = tmp_path / "s.toml"
    file.write_bytes(text)
    with pytest.raises(UsageError) as caught:
        spec.read(str(file))
    assert named in str(caught.value)
    assert str(file) in str(caught.value)
    assert longline("scan", "--spec", tmp_path / "none").returncode == 2
