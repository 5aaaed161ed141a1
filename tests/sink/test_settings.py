"""Settings of the sink: what goes together, and that reading them needs no heavy library."""

from __future__ import annotations

import subprocess
import sys

import pydantic
import pytest

from stages.core.settings import load
from stages.sink.settings import ExportSettings, QuerySettings, SinkSettings


def _loaded(**given: object) -> SinkSettings:
    loaded = load({"sink": SinkSettings}, argv={"sink": given}, environ={}, file=None)
    return loaded.section("sink")  # type: ignore[return-value]


def test_defaults() -> None:
    settings = SinkSettings()
    assert (settings.init, settings.purge, settings.retention) == (False, False, None)
    assert settings.batch >= 1
    assert (QuerySettings().limit, ExportSettings().format) == (100, "jsonl")


def test_an_age_as_people_write_it() -> None:
    assert _loaded(retention="90d", purge=True).retention == 90 * 86_400
    assert _loaded(retention="0").retention == 0


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"purge": True}, "needs --retention"),
        ({"purge": True, "retention": 0}, "needs --retention"),
        ({"purge": True, "init": True, "retention": 1}, "two things"),
        ({"batch": 0}, "greater than or equal"),
        ({"writers": 99}, "less than or equal"),
        ({"retention": "a year"}, "duration"),
    ],
)
def test_what_does_not_go_together(given: dict[str, object], problem: str) -> None:
    with pytest.raises(pydantic.ValidationError, match=problem):
        SinkSettings(**given)  # type: ignore[arg-type]


def test_other_forms_are_refused() -> None:
    with pytest.raises(pydantic.ValidationError, match="jsonl"):
        ExportSettings(format="xml")


def test_no_heavy_library() -> None:
    heavy = "{'motor', 'pymongo', 'cryptography', 'orjson', 'prometheus_client', 'numpy', 'asyncio'}"
    code = f"import stages.sink.settings, sys; found = {heavy} & set(sys.modules); sys.exit(str(found) if found else 0)"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
