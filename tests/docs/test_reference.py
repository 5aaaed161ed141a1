"""docs/reference.md is what the code says now."""

from __future__ import annotations

from stages.cli.sections import SECTIONS
from stages.core.outcome import Outcome
from stages.core.schema import MODELS
from tests.docs import reference


def test_it_is_as_the_code_says() -> None:
    assert reference.FILE.read_text() == reference.text(), "run: python -m tests.docs.reference"


def test_it_holds_everything() -> None:
    text = reference.text()
    for name, section in SECTIONS.items():
        assert f"\n### [{name}]\n" in text
        assert all(f"| `{key}` |" in text for key in section.names())
    assert all(f"\n### {kind}\n" in text for kind in MODELS)
    assert all(f"| `{outcome}` |" in text for outcome in Outcome)
    assert "| `longline_bannergrab_records_taken_total` | counter |" in text
    assert "| `longline_list_reloads_total` | counter | result: ok, failed |" in text


def test_no_default_is_of_this_machine() -> None:
    assert str(reference.ROOT) not in reference.text()
