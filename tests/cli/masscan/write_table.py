"""Write the table of options into docs/from-masscan.md."""

from __future__ import annotations

import re

from stages.cli.masscan.table import table
from tests.cli.masscan.test_table import DOCUMENT


def main() -> None:
    text = DOCUMENT.read_text()
    new, count = re.subn(r"\| option \| also \| here \|\n(?:\|.*\n)+", lambda _: table(), text)
    assert count == 1, "no table, or several"
    DOCUMENT.write_text(new)


if __name__ == "__main__":
    main()
