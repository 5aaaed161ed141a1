"""`--max-lag` and `--on-lag`, as they are typed; what they do is tests/integration/test_overload.py."""

from __future__ import annotations

import pytest

from tests.cli.command import longline

SCAN = ("scan", "-p", "80", "127.0.0.1")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--max-lag", "10"), "--max-lag: 10: is for Kafka"),
        (("--max-lag", "10", "--bus", "sqlite:x.db"), "--max-lag: 10: is for Kafka"),
        (("--on-lag", "drop"), "--on-lag drop needs --max-lag"),
        (("--max-lag", "10", "--on-lag", "spill"), "--on-lag spill and --spill-file FILE go together"),
        (("--max-lag", "10", "--spill-file", "x"), "--on-lag spill and --spill-file FILE go together"),
        (("--max-lag", "0"), "--max-lag"),
        (("--on-lag", "hope"), "--on-lag"),
    ],
)
def test_what_does_not_go_together(words: tuple[str, ...], said: str) -> None:
    ran = longline(*SCAN, *words)
    assert ran.returncode == 2
    assert said in ran.stderr
