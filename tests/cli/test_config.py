"""`longline config`."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.command import longline


def test_every_setting_with_its_origin(tmp_path: Path) -> None:
    (tmp_path / "longline.toml").write_text('[store]\nurl = "mongodb://me:secret@db/x"\n')
    ran = longline("config", cwd=tmp_path, env={"LONGLINE_RUNNER_SPAN": "77"})
    assert ran.returncode == 0, ran.stderr
    assert "secret" not in ran.stdout
    assert "store.url = 'mongodb://me:***@db/x'  # " in ran.stdout
    assert "runner.span = 77  # LONGLINE_RUNNER_SPAN" in ran.stdout
    assert "bannergrab.concurrent = 1000  # default" in ran.stdout


def test_sections_json_and_changed(tmp_path: Path) -> None:
    ran = longline("config", "runner", "--json", "--changed", cwd=tmp_path, env={"LONGLINE_RUNNER_SPAN": "77"})
    assert [json.loads(line) for line in ran.stdout.splitlines()] == [
        {"section": "runner", "key": "span", "value": 77, "origin": "LONGLINE_RUNNER_SPAN"}
    ]


def test_an_unknown_section_is_named_with_the_nearest(tmp_path: Path) -> None:
    ran = longline("config", "runer", cwd=tmp_path)
    assert ran.returncode == 2
    assert "'runer'" in ran.stderr
    assert "did you mean 'runner'?" in ran.stderr
