from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import subprocess
import sys
import textwrap

import pytest

from stages.core.errors import HostError, Interrupted, LonglineError, Unavailable, UsageError
from stages.core.lifecycle import EXIT_BUG, GC_THRESHOLDS, Life, launch, report

PROGRAM = """
import asyncio, sys, time
from stages.core.lifecycle import launch
async def main(life):
    life.on_stop(lambda: print("drain", flush=True))
    print(type(asyncio.get_running_loop()).__module__, flush=True)
    BODY
sys.exit(launch(main, uvloop=UVLOOP))
"""

WAIT = "await life.stopping.wait()"
STUCK = """await life.stopping.wait()
    while True: time.sleep(0.01)"""
SLOW = """await life.stopping.wait()
    await asyncio.sleep(600)"""


def program(body: str, uvloop: bool) -> subprocess.Popen[str]:
    text = textwrap.dedent(PROGRAM).replace("BODY", body).replace("UVLOOP", str(uvloop))
    process = subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("uvloop" if uvloop else "asyncio")
    return process


def end(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    try:
        out, err = process.communicate(timeout=20)
    finally:
        process.kill()
    return process.returncode, out, err


@pytest.mark.parametrize("uvloop", [False, True])
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_drains_and_names_itself_in_the_exit_code(uvloop: bool, signum: signal.Signals) -> None:
    process = program(WAIT, uvloop)
    process.send_signal(signum)
    assert end(process) == (128 + signum, "drain\n", "")


@pytest.mark.parametrize("uvloop", [False, True])
@pytest.mark.parametrize("body", [SLOW, STUCK])
def test_the_second_signal_leaves_at_once(uvloop: bool, body: str) -> None:
    process = program(body, uvloop)
    process.send_signal(signal.SIGTERM)
    assert process.stdout is not None
    assert process.stdout.readline() == "drain\n"
    process.send_signal(signal.SIGINT)
    assert end(process)[0] == 130


def test_what_main_returns_is_the_exit_code() -> None:
    async def three(life: Life) -> int:
        return 3

    async def nothing(life: Life) -> None:
        return None

    assert launch(three) == 3
    assert launch(nothing, uvloop=False) == 0


def test_handlers_are_as_before() -> None:
    before = [signal.getsignal(signum) for signum in (signal.SIGTERM, signal.SIGINT)]

    async def main(life: Life) -> None:
        assert signal.getsignal(signal.SIGTERM) != before[0]

    assert launch(main) == 0
    assert [signal.getsignal(signum) for signum in (signal.SIGTERM, signal.SIGINT)] == before


def test_a_drain_may_be_asked_for_from_inside() -> None:
    said: list[str] = []

    async def main(life: Life) -> None:
        life.on_stop(lambda: said.append("first"))
        life.stop()
        life.stop()
        life.on_stop(lambda: said.append("late"))
        assert life.stopping.is_set()

    assert launch(main) == 0
    assert said == ["first", "late"]


def test_a_signal_after_a_drain_from_inside() -> None:
    async def main(life: Life) -> None:
        life.stop()
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(0.01)

    assert launch(main) == 128 + signal.SIGTERM


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("-p", 70000, "not a port"), 2),
        (HostError("no space left on the disk"), 1),
        (Unavailable("no broker"), 1),
    ],
)
def test_an_error_of_ours_is_one_line(error: LonglineError, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    async def main(life: Life) -> None:
        raise error

    assert launch(main) == code
    assert capsys.readouterr().err == f"longline: {error}\n"


def test_an_interruption_needs_no_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert report(Interrupted(15)) == 143
    assert capsys.readouterr().err == ""


def test_a_group_of_errors_of_ours(capsys: pytest.CaptureFixture[str]) -> None:
    assert report(ExceptionGroup("", [HostError("a"), UsageError("x", None, "b")])) == 2
    assert capsys.readouterr().err == "longline: a\nlongline: x: b\n"


@pytest.mark.parametrize("error", [KeyError("x"), ExceptionGroup("", [HostError("a"), KeyError("x")])])
def test_a_bug_shows_its_traceback(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.CRITICAL, "longline.core.lifecycle"):
        assert report(error) == EXIT_BUG
    assert "a bug in Longline" in caplog.text
    assert caplog.records[0].exc_info is not None


def test_the_collector_is_calm_while_it_runs() -> None:
    before = gc.get_threshold()

    async def main(life: Life) -> int:
        return gc.get_threshold()[0]

    assert launch(main) == GC_THRESHOLDS[0]
    assert gc.get_threshold() == before


def test_without_uvloop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)

    async def main(life: Life) -> int:
        return int(type(asyncio.get_running_loop()).__module__.startswith("asyncio"))

    assert launch(main) == 1


def test_interrupted_before_the_signals_are_watched() -> None:
    async def main(life: Life) -> None:
        raise KeyboardInterrupt

    assert launch(main) == 130
