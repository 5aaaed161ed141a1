from __future__ import annotations

import os
import re

import pytest

from stages.cli import checkup
from stages.scanner.selftest import CHECKS
from tests.cli.command import longline


def test_the_self_test_says_a_line_for_each_check() -> None:
    ran = longline("scan", "--self-test")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    lines = ran.stdout.splitlines()
    assert [line[5:].partition(":")[0] for line in lines] == [*(name for name, _ in CHECKS), "packets"]
    assert {line.split()[0] for line in lines} <= {"ok", "skip"}
    if os.geteuid() == 0:
        assert re.fullmatch(r"ok   packets: \d+ open targets of 1024 found, exactly", lines[-1])


def test_a_failure_is_exit_code_1(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fails() -> str:
        raise RuntimeError("no such luck")

    monkeypatch.setattr(checkup, "_packets", fails)
    assert checkup.self_test() == 1
    assert "FAIL packets: RuntimeError: no such luck" in capsys.readouterr().out


def test_the_benchmark_says_three_figures() -> None:
    ran = longline("scan", "--benchmark")
    assert ran.returncode == 0, ran.stderr
    assert re.fullmatch(
        r"frames built: [\d.]+ M/s on one core\nanswers validated: [\d.]+ M/s on one core\n"
        r"answers filtered: [\d.]+ M/s on one core\n",
        ran.stdout,
    )
