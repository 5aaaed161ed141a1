"""docs/from-masscan.md is the table of the code."""

from __future__ import annotations

from pathlib import Path

from stages.cli.masscan.options import EXACT, OPTIONS
from stages.cli.masscan.table import NMAP, does, flag, nmap, rows, table

ROOT = Path(__file__).resolve().parents[3]
DOCUMENT = ROOT / "docs" / "from-masscan.md"


def test_the_document_holds_the_table() -> None:
    """`.venv/bin/python -m tests.cli.masscan.write_table` writes it anew."""
    assert table() in DOCUMENT.read_text()


def test_every_option_has_a_row() -> None:
    text = table()
    for option in OPTIONS:
        for name in option.names:
            assert f"`{flag(name)}" in text
        assert does(option)
    assert len(list(rows())) == len(OPTIONS)


def test_what_nmap_has() -> None:
    lines = nmap().splitlines()
    assert len(lines) == len(NMAP)
    assert any(line.startswith("-sT ") and "ignored" in line for line in lines)
    assert flag("sS") == "-sS"
    assert flag("rate") == "--rate"
    assert "oX" in EXACT
