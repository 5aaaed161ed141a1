from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from stages.cli import completion
from stages.cli.main import COMMANDS
from tests.cli.command import longline
from tests.require import require


def script(shell: str) -> str:
    ran = longline("completion", shell)
    assert (ran.returncode, ran.stderr) == (0, "")
    return ran.stdout


def completed(tmp_path: Path, *words: str) -> set[str]:
    """What bash would offer for the last of the words."""
    (tmp_path / "script").write_text(script("bash"))
    (tmp_path / "some-file").touch()
    asks = 'source ./script; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _longline; printf "%s\\n" "${COMPREPLY[@]}"'
    ran = subprocess.run(
        ["bash", "-ec", asks, "bash", *words], capture_output=True, text=True, cwd=tmp_path, check=True, timeout=60
    )
    return set(ran.stdout.split())


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("longline", "sc"), {"scan"}),
        (("longline", "scan", "--output-f"), {"--output-file", "--output-fields", "--output-filter"}),
        (("longline", "scan", "-O", "ex"), {"extended_file"}),
        (("longline", "scan", "-M", "icmp_echo"), {"icmp_echoscan", "icmp_echo_time"}),
        (("longline", "scan", "--blacklist-file", "some"), {"some-file"}),
        (("longline", "scan", "--rate", "so"), set()),
        (("longline", "tee", "some"), {"some-file"}),
        (("longline", "completion", "--h"), {"--help"}),
    ],
)
def test_bash(tmp_path: Path, words: tuple[str, ...], expected: set[str]) -> None:
    assert completed(tmp_path, *words) == expected


def test_every_option_of_every_command_is_in_every_script() -> None:
    scripts = {shell: script(shell) for shell in completion.SHELLS}
    for name in COMMANDS:
        for option in completion.options_of(name):
            for flag in option.flags:
                assert f"{name}:{flag}" in scripts["bash"] or option.value is None
                assert f"'*{flag}" in scripts["zsh"]
                short = f"-l {flag[2:]} " if flag.startswith("--") else f"-s {flag[1:]} "
                assert short in scripts["fish"]
    assert len(completion.options_of("scan")) > 80


@pytest.mark.parametrize(("shell", "check"), [("zsh", "-n"), ("fish", "--no-execute"), ("bash", "-n")])
def test_each_shell_can_read_its_script(tmp_path: Path, shell: str, check: str) -> None:
    require(shutil.which(shell), shell)
    (tmp_path / "script").write_text(script(shell))
    subprocess.run([shell, check, tmp_path / "script"], check=True, timeout=60)


def test_a_shell_that_there_is_not() -> None:
    assert longline("completion", "tcsh").returncode == 2
