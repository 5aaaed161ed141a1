"""`longline simnet`: the truth as lines, a command inside, and what it refuses."""

from __future__ import annotations

import os
from collections import Counter

from stages.simnet.spec import Spec
from tests.cli.command import longline
from tests.require import require


def test_the_truth_is_printed_and_nothing_is_built() -> None:
    ran = longline("simnet", "--truth", "--seed", "5", "--targets", "10.0.0.0/24", "--ports", "22,80", "--open", "0.2")
    assert ran.returncode == 0
    lines = ran.stdout.splitlines()
    assert 60 < len(lines) < 150
    assert all(line.startswith("10.0.0.") and line.split(",")[1] in ("22", "80") for line in lines)
    again = longline(
        "simnet", "--truth", "--seed", "5", "--targets", "10.0.0.0/24", "--ports", "22,80", "--open", "0.2"
    )
    assert again.stdout == ran.stdout


def test_the_truth_of_the_responder_is_printed_too() -> None:
    words = (
        "--targets",
        "10.0.0.0/32",
        "--ports",
        "80",
        "--responder",
        "10.64.0.0/24",
        "--reactions",
        "rst=0.5,bare=0.2",
    )
    ran = longline("simnet", "--truth", "--seed", "5", *words)
    assert ran.returncode == 0
    kinds = Counter(line.split(",")[2] for line in ran.stdout.splitlines() if line.startswith("10.64.0."))
    assert set(kinds) == {"rst", "bare"}
    assert 90 < kinds["rst"] < 166
    assert 25 < kinds["bare"] < 80


def test_the_truth_says_what_connections_hear() -> None:
    words = ("--targets", "10.0.0.0/32", "--ports", "80", "--responder", "10.64.0.0/24", "--reactions", "synack=1")
    ran = longline("simnet", "--truth", *words, "--says", "http=0.4,tls=0.3")
    assert ran.returncode == 0
    hears = Counter(line.split(",")[3] for line in ran.stdout.splitlines() if line.startswith("10.64.0."))
    assert set(hears) == {"http", "tls", "deaf"}
    assert hears.total() == 256


def test_a_command_runs_inside_and_its_exit_code_is_ours() -> None:
    require(os.geteuid() == 0, "root, for network namespaces")
    ran = longline("simnet", "--targets", "10.0.0.0/28", "--ports", "80", "--", "sh", "-c", "cat /proc/net/dev; exit 7")
    assert ran.returncode == 7, ran.stderr
    assert "near0" in ran.stdout
    assert "longline-sim" in ran.stdout


def test_bad_input() -> None:
    for words, told in (
        (["--targets", "10.0.0.0/99"], "10.0.0.0/99"),
        (["--ports", "http"], "'http'"),
        (["--open", "3"], "open is 3.0"),
        (["--responder", "10.0.0.0/99"], "10.0.0.0/99"),
        (["--responder", "10.0.0.0/8", "--reactions", "synak=1"], "'synak'"),
        (["--responder", "10.0.0.0/8", "--reactions", "synack"], "name=share"),
        (["--responder", "10.0.0.0/8", "--delays", "soon"], "'soon'"),
        (["--responder", "10.0.0.0/8", "--loss", "7"], "loss is 7.0"),
        (["--reactions", "synack=1"], "there is no --responder"),
        (["--says", "http=1"], "there is no --responder"),
        (["--responder", "10.0.0.0/8", "--says", "htp=1"], "no conversation 'htp'"),
        (["--responder", "10.0.0.0/8", "--says", "http"], "name=share"),
        (["--responder", "10.0.0.0/8", "--loss-back", "7"], "loss on the way back is 7.0"),
    ):
        ran = longline("simnet", *words)
        assert ran.returncode == 2
        assert told in ran.stderr


def test_default_is_the_demos_internet() -> None:
    assert Spec().targets == ("10.0.0.0/16",)


def test_a_command_that_cannot_be_started_is_said_as_a_shell_says_it() -> None:
    require(os.geteuid() == 0, "root, for network namespaces")
    for command, code, told in (("no-such", 127, "No such file or directory"), ("/tmp", 126, "Permission denied")):
        ran = longline("simnet", "--targets", "10.0.0.0/28", "--ports", "80", "--", command)
        assert (ran.returncode, ran.stderr) == (code, f"longline simnet: {command}: {told}\n")
