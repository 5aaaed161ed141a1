"""Tables: whole into a pipe, and nothing in a cell is markup."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import pytest

from stages.cli.tables import plain, show


async def rows() -> AsyncIterator[Sequence[str]]:
    yield ["[bold]a[/]", "x" * 200]
    yield ["b", ""]


async def test_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert await show(["one", "two"], rows()) == 2
    head, first, second = capsys.readouterr().out.splitlines()[:3]
    assert head.split() == ["one", "two"]
    assert first.startswith("[bold]a[/]")
    assert "x" * 200 in first
    assert second.split() == ["b"]


async def test_titles_are_no_markup_either(capsys: pytest.CaptureFixture[str]) -> None:
    await show(["[bold]one[/]", "two"], rows())
    assert capsys.readouterr().out.startswith("[bold]one[/]")


def test_plain() -> None:
    assert plain("CN=\x1b[31mé\n") == "CN=?[31mé?"
