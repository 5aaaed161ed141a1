"""`longline health`: what a container asks of itself."""

from __future__ import annotations

import asyncio

import pytest

from stages.core.health import HealthServer
from stages.core.metrics import Metrics
from tests.cli.command import longline
from tests.servers.kafka import free_port


@pytest.mark.parametrize(
    ("words", "ready", "code", "said"),
    [((), True, 0, "ready\n"), ((), False, 1, "not ready: sink\n"), (("--live",), False, 0, "ok\n")],
)
async def test_the_answer_is_the_exit_code(words: tuple[str, ...], ready: bool, code: int, said: str) -> None:
    async with HealthServer(("127.0.0.1", 0), Metrics(), {"sink": lambda: ready}) as server:
        ran = await asyncio.to_thread(longline, "health", "--metrics", f":{server.port}", *words)
    assert (ran.returncode, ran.stdout) == (code, said)


def test_nobody_answers() -> None:
    ran = longline("health", "--metrics", f"127.0.0.1:{free_port()}")
    assert ran.returncode == 1
    assert "nobody answers on 127.0.0.1:" in ran.stderr


def test_the_address_comes_from_where_the_stage_has_it() -> None:
    port = str(free_port())
    ran = longline("health", env={"LONGLINE_METRICS_LISTEN": f":{port}"})
    assert port in ran.stderr


def test_without_an_address_there_is_nobody_to_ask() -> None:
    ran = longline("health")
    assert ran.returncode == 2
    assert "--metrics" in ran.stderr
