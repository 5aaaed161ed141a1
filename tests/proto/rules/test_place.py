"""The line of a key, as an editor shows it."""

from __future__ import annotations

import pytest

from stages.proto.rules.place import line_of

TEXT = '''\
# a comment with [[rule]] in it

[[rule]]
name = "one"   # 4
when = [
    "a",
    # between
    "b", "c",
    "d" ]

[[rule]]
about = """
[[rule]]
name = "in a text"
"""
name = "two"  # 15
when = ["x"]

[rule.hello]
suites = ["1",
  "2"]

[[rule]]
name = "three"
hello = { suites = ["5"], versions = [] }
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("rule",), 3), (("rule", 0), 3), (("rule", 0, "name"), 4), (("rule", 0, "when"), 5),
        (("rule", 0, "when", 0), 6), (("rule", 0, "when", 1), 8), (("rule", 0, "when", 2), 8),
        (("rule", 0, "when", 3), 9), (("rule", 1), 11), (("rule", 1, "about"), 12), (("rule", 1, "name"), 16),
        (("rule", 1, "when", 0), 17), (("rule", 1, "hello"), 19), (("rule", 1, "hello", "suites"), 20),
        (("rule", 1, "hello", "suites", 1), 21), (("rule", 2, "name"), 24), (("rule", 2, "hello", "versions"), 25),
        ((), 1),
    ],
)  # fmt: skip
def test_where_it_begins(path: tuple[str | int, ...], line: int) -> None:
    assert line_of(TEXT, path) == line


def test_a_statement_of_many_lines() -> None:
    items = "\n".join(f'  "{number}",' for number in range(600))
    text = f"before = 1\nlist = [\n{items}\n]\nafter = 2\n"
    assert line_of(text, ("before",)) == 1
    assert line_of(text, ("after",)) == 604
    assert line_of(text, ("list",)) == 2
    assert line_of(text, ("list", 100)) == 103
