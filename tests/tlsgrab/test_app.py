"""A whole tlsgrab: lines of a pipe or of a log in, records out."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from stages.core.bus.base import Output, Topics
from stages.core.bus.memory import MemoryBus
from stages.core.outcome import Outcome
from stages.core.politeness import Limits
from stages.core.records import Tls, parse
from stages.core.settings import RunnerSettings
from stages.tlsgrab.app import make_runner
from stages.tlsgrab.settings import TlsgrabSettings
from tests.servers.certificates import identity, server_context
from tests.servers.talkers import fresh_address, nobody, talker
from tests.tlsgrab.test_stage import tls

Grab = Callable[..., Any]


async def test_the_lines_of_a_pipe(tlsgrab: Grab) -> None:
    """Addresses, ports and names as people write them; no routing there."""
    host = fresh_address()
    heard: list[str | None] = []
    context = server_context(identity())
    context.sni_callback = lambda _, name, __: heard.append(name)
    with talker(tls(context), host) as (_, port):
        lines = [
            b"# a comment",
            f"{host},{port},one.test".encode(),
            f"{host},two.test,tag,{port}".encode(),
            f"{host}:{port}".encode(),
            host.encode(),
            f"{host},{port},192.0.2.1".encode(),
            b"saddr,sport,name",
            f"{host},{port},three.test".encode(),
            f"{host},{port},not a name".encode(),
            b"300.1.2.3",
        ]
        got = await tlsgrab(lines, shared=False, ports=None, port=port, concurrent=1)
    assert [(r.outcome, r.port, r.scan) for r in got.records] == [(Outcome.OK, port, "test")] * 6
    assert sorted(map(str, heard)) == ["None", "None", "None", "one.test", "three.test", "two.test"]
    assert sorted(letter.headers["reason"] for letter in got.dead) == [b"target", b"target"]


def runner_of(settings: TlsgrabSettings, **more: Any) -> Any:
    bus = MemoryBus()
    return make_runner(
        settings,
        source=bus.source([Topics().hits], "g"),
        publisher=bus.publisher(),
        topics=Topics(),
        runner=RunnerSettings(),
        blocked=lambda _: False,
        shared=True,
        **({"limits": None} | more),
    )


def test_what_fits_is_what_runs() -> None:
    assert runner_of(TlsgrabSettings(concurrent=700)).capacity == 700
    assert runner_of(TlsgrabSettings(concurrent=700), capacity=50).capacity == 50
    assert runner_of(TlsgrabSettings(concurrent=7), capacity=50).capacity == 7


async def test_politeness_holds(hit_line: Callable[..., bytes]) -> None:
    """One connection to a host at once: nobody is met twice at the same time."""
    bus, topics = MemoryBus(partitions=1), Topics()
    publisher = bus.publisher()
    with nobody() as target:
        lines = [hit_line(target, f"n{number}.test") for number in range(5)]
        await publisher.publish([Output(topics.hits, b"", line) for line in lines])
        runner = make_runner(
            TlsgrabSettings(ports="*"),
            source=bus.source([topics.hits], "g"),
            publisher=publisher,
            topics=topics,
            runner=RunnerSettings(flush_age=0.01),
            blocked=lambda _: False,
            limits=Limits(per_host=1, per_prefix=0, rate=0),
            shared=True,
        )
        running = asyncio.create_task(runner.run())
        async with asyncio.timeout(10):
            while len(bus.lines(topics.tls)) < len(lines):
                assert runner.in_flight <= 1
                await asyncio.sleep(0)
        runner.stop()
        await running
    names = [record.name for record in map(parse, bus.lines(topics.tls)) if isinstance(record, Tls)]
    assert names == [f"n{number}.test" for number in range(5)]


def test_the_command() -> None:
    """`longline tlsgrab` between two pipes."""
    context = server_context(identity(), ssl.TLSVersion.TLSv1_2)
    with talker(tls(context)) as (host, port):
        done = subprocess.run(
            [sys.executable, "-m", "stages.cli.main", "tlsgrab", "--no-default-blocklist", "-p", str(port)],
            input=f"{host},{port},pipe.test\n{host}\nno address\n".encode(),
            capture_output=True,
            timeout=60,
            env=os.environ | {"LONGLINE_CONFINE": "1"},
            check=False,
        )
    assert done.returncode == 0, done.stderr.decode()
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert sorted((r["name"] or "", r["sni"] or "", r["outcome"], r["version"]) for r in records) == [
        ("", "", "ok", "TLSv1.2"),
        ("pipe.test", "pipe.test", "ok", "TLSv1.2"),
    ]
    assert b"no address" in done.stderr
