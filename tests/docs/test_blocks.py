"""Blocks and commands are found as they stand."""

from __future__ import annotations

import pytest

from tests.docs.blocks import DOCUMENTS, SHELL, blocks, blocks_of

TEXT = """\
# One
text `code`

```sh
first --a   # a comment
second \\
   --b '#1'
# only a comment

third &
```

## Two
```
# no heading
```
"""


def test_blocks_with_their_headings() -> None:
    first, second = blocks_of(TEXT, "x.md")
    assert (first.file, first.line, first.heading, first.language) == ("x.md", 5, "One", "sh")
    assert first.commands == ["first --a", "second --b '#1'", "third &"]
    assert (second.heading, second.language, second.text) == ("Two", "", "# no heading\n")


def test_a_block_that_is_not_closed() -> None:
    with pytest.raises(ValueError, match=r"x\.md:1: a block that is not closed"):
        list(blocks_of("```sh\nx\n", "x.md"))


def test_the_documents_are_found() -> None:
    assert {"README.md", "CONTRIBUTING.md", "docs/settings.md", "docs/recipes/store.md"} <= set(DOCUMENTS)
    assert len(blocks(*SHELL)) > 5
