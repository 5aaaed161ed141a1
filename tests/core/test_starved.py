from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from typing import Any

import pytest

from stages.core.starved import leave_if_starved, on_loop_error

#: A process of its own, since it ends.
CALLBACK = """
import asyncio
from stages.core.lifecycle import launch

def starve():
    raise MemoryError

async def main(life):
    asyncio.get_running_loop().call_soon(starve)
    await asyncio.sleep(60)

launch(main, uvloop={uvloop})
"""

FLOW = """
from tests.core.test_flow import Bench

b = Bench()
def decode(line):
    raise MemoryError
b.stage.decode = decode
b.accept(b"10.0.0.1 1")
print("went on")
"""


@pytest.mark.parametrize("code", [CALLBACK.format(uvloop=True), CALLBACK.format(uvloop=False), FLOW])
def test_the_process_ends_and_says_so(code: str) -> None:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("longline: no memory is left")


@pytest.mark.parametrize("error", [None, ValueError(), OSError()])
def test_any_other_error_is_left_to_the_caller(error: Exception | None) -> None:
    leave_if_starved(error)


async def test_any_other_error_of_a_callback_is_told_as_before(caplog: pytest.LogCaptureFixture) -> None:
    loop: Any = asyncio.get_running_loop()
    with caplog.at_level(logging.ERROR, "asyncio"):
        on_loop_error(loop, {"message": "a callback failed", "exception": ValueError("x")})
    assert "a callback failed" in caplog.text
