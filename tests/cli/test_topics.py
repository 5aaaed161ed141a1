"""`longline topics`: on a real broker, from nothing to what is wanted, and again."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaProducer

from tests.cli.command import longline
from tests.integration.workers import until
from tests.servers.kafka import KafkaServer


def topics(kafka: KafkaServer, prefix: str, *words: str) -> list[dict[str, Any]]:
    bus = ("--bus", f"kafka://{kafka.bootstrap}", "--topic-prefix", prefix)
    ran = longline("topics", *words, "--json", *bus, env={"LONGLINE_BUS_PARTITIONS": "4"})
    assert ran.returncode == 0, ran.stderr
    return [json.loads(line) for line in ran.stdout.splitlines()]


def test_from_nothing_to_what_is_wanted(kafka: KafkaServer) -> None:
    prefix = f"t{uuid4().hex[:8]}"
    every = {
        f"{prefix}.{name}.v1"
        for name in (
            "hits",
            "banners",
            "tls",
            "scans",
            "events",
            "dead",
            "orders",
            "bannergrab.later",
            "tlsgrab.later",
            "hits.here",
        )
    } | {f"{prefix}.{name}.v1" for name in ("agents", "claims", "work")}
    words = ("--retention", "7d", "--min-insync", "1", "--scanner", "here")
    steps = topics(kafka, prefix, "plan", *words)
    assert {step["topic"] for step in steps} == every
    orders = f"{prefix}.orders.v1"
    assert {(step["what"], step["wanted"], step["topic"] == orders) for step in steps} == {
        ("topic", "4 partitions, 1 replicas", False), ("topic", "1 partitions, 1 replicas", True),
    }  # fmt: skip
    assert topics(kafka, prefix, "plan", *words) == steps, "a plan changes nothing"
    assert topics(kafka, prefix, "apply", *words) == steps
    assert topics(kafka, prefix, "plan", *words) == []

    more = topics(kafka, prefix, "plan", "--retention", "30d", "--retention-bytes", "1G")
    assert {(step["what"], step["now"], step["wanted"]) for step in more if step["topic"].endswith(".tls.v1")} == {
        ("retention.ms", str(7 * 86_400_000), str(30 * 86_400_000)), ("retention.bytes", "-1", str(10**9)),
    }  # fmt: skip
    fleet = {f"{prefix}.{name}.v1" for name in ("agents", "claims", "work")}
    assert not fleet & {step["topic"] for step in more}, "what a fleet says is kept for its own time"
    topics(kafka, prefix, "apply", "--retention-bytes", "1G", "--scanner", "here")
    # One setting was changed, and the others that were set before are as they were.
    assert topics(kafka, prefix, "plan", *words, "--retention-bytes", "1G") == []


def test_partitions_are_told_and_left_alone(kafka: KafkaServer) -> None:
    prefix = f"t{uuid4().hex[:8]}"
    topics(kafka, prefix, "apply")
    bus = ("--bus", f"kafka://{kafka.bootstrap}", "--topic-prefix", prefix)
    for action in ("apply", "plan"):
        ran = longline("topics", action, "--json", *bus, env={"LONGLINE_BUS_PARTITIONS": "8"})
        steps = [json.loads(line) for line in ran.stdout.splitlines()]
        assert {(step["what"], step["now"], step["wanted"], step["by_hand"]) for step in steps} == {
            ("partitions", "4", "8", True)
        }
    table = longline("topics", "plan", *bus, env={"LONGLINE_BUS_PARTITIONS": "8"}).stdout
    assert "by hand" in table
    same = longline("topics", "plan", *bus, env={"LONGLINE_BUS_PARTITIONS": "4"})
    assert same.stdout == "12 topics are as they should be\n"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("plan", "--bus", "sqlite:x.db"), "has no topics to be made"),
        (("plan",), "has no topics to be made"),
        (("apply", "--bus", "kafka://127.0.0.1:9", "--min-insync", "2"), "more than the 1 replicas"),
        (("plan", "--bus", "kafka://127.0.0.1:9", "--retention", "soon"), "--retention"),
    ],
)
def test_what_cannot_be(words: tuple[str, ...], told: str) -> None:
    ran = longline("topics", *words)
    assert ran.returncode == 2
    assert told in ran.stderr


def test_more_partitions_once_all_is_worked_off_and_has_stopped(kafka: KafkaServer) -> None:
    prefix = f"t{uuid4().hex[:8]}"
    bus = ("--bus", f"kafka://{kafka.bootstrap}", "--topic-prefix", prefix)

    def repartition(*words: str) -> subprocess.CompletedProcess[str]:
        return longline("topics", "repartition", *words, *bus)

    topics(kafka, prefix, "apply")
    hit = b'{"kind":"hit","v":1,"id":"x","scan":"s","ts":"2026-11-21T07:00:00.000000Z","ip":"127.0.0.1","port":9}'
    asyncio.run(put(kafka, f"{prefix}.hits.v1", hit))
    ran = repartition("6")
    assert ran.returncode == 1
    assert f"{prefix}.sink is 1 behind in {prefix}.hits.v1" in ran.stderr
    with tempfile.TemporaryDirectory() as folder:
        store = f"sqlite:{folder}/s.db"
        longline("sink", "--init", "--store", store)
        words = (
            ("sink", "--store", store), ("bannergrab", "--ports", "1"), ("tlsgrab", "--ports", "1"),
        )  # fmt: skip
        command = [sys.executable, "-m", "stages.cli.main"]
        stages = [subprocess.Popen([*command, *w, *bus], stderr=subprocess.DEVNULL) for w in words]
        try:
            until(lambda: "members" in (said := repartition("6").stderr) and "behind" not in said, "worked off")
            assert repartition("6").returncode == 1
        finally:
            for stage in stages:
                stage.terminate()
            for stage in stages:
                stage.wait(60)
    until(lambda: repartition("6").returncode == 0, "the members have left")
    now = {step["topic"]: step["now"] for step in topics(kafka, prefix, "plan") if step["what"] == "partitions"}
    assert set(now.values()) == {"6"}
    assert f"{prefix}.dead.v1" not in now
    assert len(now) == 7
    assert repartition("6").stdout == "0 topics have 6 partitions now\n"


@pytest.mark.parametrize("words", [(), ("0",), ("3",)])
def test_a_number_that_cannot_be(kafka: KafkaServer, words: tuple[str, ...]) -> None:
    prefix = f"t{uuid4().hex[:8]}"
    topics(kafka, prefix, "apply")
    ran = longline("topics", "repartition", *words, "--bus", f"kafka://{kafka.bootstrap}", "--topic-prefix", prefix)
    assert ran.returncode == 2
    assert "longline: N" in ran.stderr or " N" in ran.stderr


async def put(kafka: KafkaServer, topic: str, value: bytes) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap)
    await producer.start()
    try:
        await producer.send_and_wait(topic, value)
    finally:
        await producer.stop()
