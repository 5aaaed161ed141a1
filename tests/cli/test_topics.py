"""`longline topics`: on a real broker, from nothing to what is wanted, and again."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest

from tests.cli.command import longline
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
        for name in ("hits", "banners", "tls", "scans", "dead", "bannergrab.later", "tlsgrab.later", "hits.here")
    }
    words = ("--retention", "7d", "--min-insync", "1", "--scanner", "here")
    steps = topics(kafka, prefix, "plan", *words)
    assert {step["topic"] for step in steps} == every
    assert {(step["what"], step["wanted"]) for step in steps} == {("topic", "4 partitions, 1 replicas")}
    assert topics(kafka, prefix, "plan", *words) == steps, "a plan changes nothing"
    assert topics(kafka, prefix, "apply", *words) == steps
    assert topics(kafka, prefix, "plan", *words) == []

    more = topics(kafka, prefix, "plan", "--retention", "30d", "--retention-bytes", "1G")
    assert {(step["what"], step["now"], step["wanted"]) for step in more if step["topic"].endswith(".tls.v1")} == {
        ("retention.ms", str(7 * 86_400_000), str(30 * 86_400_000)), ("retention.bytes", "-1", str(10**9)),
    }  # fmt: skip
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
    assert same.stdout == "7 topics are as they should be\n"


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
