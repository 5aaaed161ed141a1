"""Every section is known under its name, and what is typed reaches it."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from stages.cli.sections import READING, SECTIONS, add_settings, load_settings
from stages.core.errors import SettingError
from stages.sink.store import Collection


def typed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_settings(parser, "bannergrab", "bus")
    return parser.parse_args(words)


def test_what_is_typed_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGLINE_BANNERGRAB_CONCURRENT", "7")
    monkeypatch.setenv("LONGLINE_BUS_PREFIX", "other")
    loaded = load_settings(typed("-c", "9"), "bannergrab", "bus")
    assert loaded.section("bannergrab").concurrent == 9
    assert loaded.section("bus").prefix == "other"
    assert loaded.origin("bus", "prefix") == "LONGLINE_BUS_PREFIX"


def test_a_file_is_read_and_an_unknown_key_named(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("[bannergrab]\nconcurent = 5\n")
    with pytest.raises(SettingError, match=r"mine\.toml.*'concurent'.*did you mean 'concurrent'"):
        load_settings(typed("--settings", str(file)), "bannergrab", "bus")


def test_every_section_validates_with_its_defaults() -> None:
    loaded = load_settings(typed(), "bannergrab", "bus")
    assert set(loaded) == set(SECTIONS)


def test_what_can_be_read_is_what_the_store_has() -> None:
    assert set(READING) == set(Collection)


def test_a_log_in_memory_joins_no_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGLINE_BUS_URL", "memory:x")
    with pytest.raises(SettingError, match="ends with its process"):
        load_settings(argparse.Namespace())
