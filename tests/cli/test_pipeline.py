"""What `run` takes and refuses; the runs themselves are in test_run.py."""

from __future__ import annotations

import argparse

import pytest

from stages.cli.pipeline import embedded, parse_grabs
from stages.cli.sections import load_settings
from stages.core.errors import UsageError


@pytest.mark.parametrize(
    ("text", "names"), [("banner,tls", ("banner", "tls")), ("tls", ("tls",)), ("none", ()), ("tls,tls", ("tls",))]
)
def test_grabs(text: str, names: tuple[str, ...]) -> None:
    assert parse_grabs(text) == names


@pytest.mark.parametrize("text", ["", "banner,", "ssh", "none,tls"])
def test_unknown_grabs_are_named(text: str) -> None:
    with pytest.raises(UsageError, match="--grab"):
        parse_grabs(text)


def test_the_store_is_the_bus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGLINE_STORE_URL", "sqlite:here.db")
    monkeypatch.setenv("LONGLINE_BUS_FROM", "kafka://elsewhere")
    file, bus = embedded(load_settings(argparse.Namespace()))
    assert file == "here.db"
    assert bus.source == bus.sink == "sqlite:here.db"


def test_a_database_server_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGLINE_STORE_URL", "mongodb://db/x")
    with pytest.raises(UsageError, match="one SQLite file"):
        embedded(load_settings(argparse.Namespace()))
