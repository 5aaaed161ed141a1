"""The command line as a whole."""

from __future__ import annotations

import subprocess
import sys

import pytest

from stages import __version__
from stages.cli.main import COMMANDS, main
from tests.cli.command import longline

#: Nothing that is slow to import may be there after --help.
HEAVY = {"numpy", "numba", "aiokafka", "motor", "pymongo", "scapy", "cryptography", "OpenSSL", "rich", "pyroute2"}


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    told = capsys.readouterr().out
    assert all(f"  {name} " in told for name in COMMANDS)


def test_without_a_command_it_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "usage: longline COMMAND" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"longline {__version__}\n"


def test_unknown_command_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scna"]) == 2
    assert capsys.readouterr().err == "longline: unknown command 'scna'; did you mean 'scan'?\n"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ["scan", "--target-prots", "80"],
            "longline scan: unknown option '--target-prots'; did you mean '--target-ports'?",
        ),
        (["bannergrab", "--concurent", "5"], "did you mean '--concurrent'?"),
        (["sink", "--zzzzzz"], "unknown option '--zzzzzz'"),
        (["query", "services", "hosts"], "longline query: nothing to do with 'hosts'"),
    ],
)
def test_unknown_option_names_the_nearest(words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_help_of_every_command_imports_nothing_heavy(command: str) -> None:
    program = (
        "import sys\nfrom stages.cli.main import main\n"
        f"try:\n    main([{command!r}, '--help'])\nexcept SystemExit as e:\n    assert e.code == 0\n"
        f"heavy = {HEAVY!r} & set(sys.modules)\nassert not heavy, heavy\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "usage: longline" in ran.stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["scan", "-p", "70000", "127.0.0.1"], "'70000'"),
        (["scan", "-p", "abc", "127.0.0.1"], "'abc'"),
        (["scan", "-p", "90-80", "127.0.0.1"], "90-80"),
        (["scan", "-p", "80", "10.0.0.0/33"], "10.0.0.0/33"),
        (["scan", "-p", "80", "-b", "/nonexistent/list", "127.0.0.1"], "/nonexistent/list"),
        (["scan", "-p", "80", "-o", "/nonexistent/dir/out.csv", "127.0.0.1"], "/nonexistent/dir/out.csv"),
        (["bannergrab", "-d", "/nonexistent/payload"], "/nonexistent/payload"),
        (["bannergrab", "-c", "0"], "-c/--concurrent"),
        (["run", "-p", "80", "--store", "mongodb://db", "127.0.0.1"], "one SQLite file"),
        (["run", "-p", "80", "--grab", "banner,ssh", "127.0.0.1"], "'ssh'"),
        (["run", "-p", "80", "--store", "sqlite:/nonexistent/x.db", "127.0.0.1"], "there is no folder /nonexistent"),
        (["bannergrab", "-p", "80", "--dead", "/nonexistent/dead"], "--dead: '/nonexistent/dead': cannot be written"),
        (
            ["bannergrab", "--from", "sqlite:/nonexistent/x.db"],
            "--from: 'sqlite:/nonexistent/x.db': there is no folder",
        ),
        (["sink", "--store", "sqlite:/nonexistent/x.db"], "--store: 'sqlite:/nonexistent/x.db': there is no folder"),
        (["query", "services", "--outcome", "great"], "'great'"),
        (["scan", "--bus", "kafak://x", "-p", "80", "127.0.0.1"], "kafak://x"),
    ],
)
def test_bad_input_is_one_line_that_names_place_and_value_and_exit_code_2(words: list[str], told: str) -> None:
    ran = longline(*words)
    assert ran.returncode == 2, ran.stderr
    assert told in ran.stderr
    assert "Traceback" not in ran.stderr
    assert ran.stdout == ""


def test_targets_may_stand_between_the_options() -> None:
    ran = longline("scan", "127.0.0.1", "-p", "1", "127.0.0.3", "--engine", "connect", "-q", "-c", "0", "127.0.0.5")
    assert ran.returncode == 0, ran.stderr
    assert "3 of 3 IPv4 targets" in ran.stderr
