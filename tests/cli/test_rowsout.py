from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from stages.cli.rowsout import Row, RowsOut


async def rows(count: int) -> AsyncIterator[Row]:
    for n in range(count):
        yield {"n": n}, [f"<{n}>"]


@pytest.mark.parametrize(("limit", "shown", "cut"), [(0, 5, False), (5, 5, False), (2, 2, True)])
@pytest.mark.parametrize("json", [True, False])
def test_the_first_are_shown_and_all_are_counted(
    capfdbinary: pytest.CaptureFixture[bytes], json: bool, limit: int, shown: int, cut: bool
) -> None:
    out = RowsOut(json, limit)
    asyncio.run(out.show(["n"], rows(5)))
    lines = capfdbinary.readouterr().out.split(b"\n")[:-1]
    assert [line.strip() for line in lines[0 if json else 1 :]] == [
        b'{"n":%d}' % n if json else b"<%d>" % n for n in range(shown)
    ]
    assert (out.count, out.cut) == (5, cut)
