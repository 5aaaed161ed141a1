"""`longline export` offers what an export needs; what it writes is in test_query.py, over the same store."""

from __future__ import annotations

from tests.cli.command import longline


def test_an_export_is_whole_and_has_no_limit() -> None:
    told = longline("export", "--help").stdout
    assert "--limit" not in told
    assert "--json" not in told
    assert "--format" in told
    assert "--since" in told
