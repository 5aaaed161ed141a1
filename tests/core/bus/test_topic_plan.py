from __future__ import annotations

from stages.core.bus.topic_plan import PARTITIONS, REPLICATION, TOPIC, Shape, Step, plan

WANTED = {"a": Shape(16, 3, {"retention.ms": "5", "cleanup.policy": "delete"}), "b": Shape(16, 3)}


def test_what_is_missing_is_made_whole() -> None:
    assert list(plan(WANTED, {"b": Shape(16, 3)})) == [Step("a", TOPIC, "", "16 partitions, 3 replicas")]


def test_settings_differ_one_by_one_and_others_are_left_alone() -> None:
    found = {"a": Shape(16, 3, {"retention.ms": "6", "x": "y"}), "b": Shape(16, 3, {"z": "1"})}
    assert list(plan(WANTED, found)) == [Step("a", "retention.ms", "6", "5"), Step("a", "cleanup.policy", "", "delete")]


def test_partitions_and_replicas_are_told_and_left_alone() -> None:
    found = {"a": Shape(8, 1, WANTED["a"].configs), "b": Shape(16, 3)}
    assert list(plan(WANTED, found)) == [
        Step("a", PARTITIONS, "8", "16", by_hand=True), Step("a", REPLICATION, "1", "3", by_hand=True),
    ]  # fmt: skip


def test_nothing_to_do() -> None:
    assert list(plan(WANTED, WANTED)) == []
