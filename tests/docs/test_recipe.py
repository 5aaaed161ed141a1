"""Lines of a recipe are put where they belong, or the recipe is wrong."""

from __future__ import annotations

import pytest

from tests.docs.recipe import patched

TEXT = "a\nb\n    c\na\n"


@pytest.mark.parametrize(
    ("diff", "result"),
    [
        (" a\n+x", "a\nx\nb\n    c\na\n"),
        (" b\n+x\n+y\n     c\n+z", "a\nb\nx\ny\n    c\nz\na\n"),
        ("-b\n+B", "a\nB\n    c\na\n"),
        (" b\n a\n+x", "a\nb\n    c\na\nx\n"),
    ],
)
def test_lines_are_put_in(diff: str, result: str) -> None:
    assert patched(TEXT, diff, "x.md:1") == result


def test_a_line_that_is_not_there() -> None:
    with pytest.raises(ValueError, match=r"x\.md:1: no line 'gone'"):
        patched(TEXT, "-gone\n+x", "x.md:1")
