"""The name of a run from a pipe."""

from __future__ import annotations

from stages.cli.naming import scan_name


def test_it_says_when_and_by_which_process() -> None:
    assert scan_name(0.0, 4711) == "pipe-19700101T000000Z-4711"


def test_two_processes_have_two_names() -> None:
    assert scan_name(1.0, 1) != scan_name(1.0, 2)
