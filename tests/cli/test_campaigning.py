from __future__ import annotations

from pathlib import Path

import pytest

from stages.cli.campaigning import campaign_of, given_by
from tests.cli.command import longline

WHOLE = """\
[campaign]
name = "watch"
full_every = "1d"
known_every = "1h"

[scanner]
targets = ["10.0.0.0/28"]
target_ports = "80"
"""


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"1d"', '"1 day"', "c.toml:3: [campaign] full_every: '1 day'"),
        ('target_ports = "80"', 'target_port = "80"', "c.toml:8: [scanner] target_port: no such setting; did you mean"),
        ('target_ports = "80"', 'target_ports = "80000"', "c.toml:8: [scanner] target_ports: '80000'"),
        ('target_ports = "80"', "", "c.toml: -p/--target-ports"),
        ('target_ports = "80"', 'target_ports = "80"\nscan = "x"', "c.toml:9: [scanner] scan: 'x': each sweep has one"),
        ('target_ports = "80"', 'target_ports = "80"\nrate = -1', "c.toml:9: [scanner] rate: -1"),
        ('target_ports = "80"', 'probe = ["udp:53"]', "c.toml:8: [scanner] probe: known services"),
        ("10.0.0.0/28", "10.0.0.0/33", "c.toml: TARGET: '10.0.0.0/33'"),
        ("[scanner]", "[lists]\nblocklist_file = ['none']\n[scanner]", "none"),
        ("[scanner]", "[scaner]", "'scaner': no section of a campaign; did you mean 'scanner'?"),
        ("[campaign]", "[campaign", "c.toml: not TOML"),
    ],
)
def test_a_bad_file_is_named_with_its_place_and_nothing_is_made(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in WHOLE
    (tmp_path / "c.toml").write_text(WHOLE.replace(old, new))
    ran = longline("campaign", "run", "c.toml", "--once", cwd=tmp_path)
    assert ran.returncode == 2, ran.stderr
    assert said in ran.stderr
    assert "Traceback" not in ran.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["c.toml"]


def test_two_files_of_one_name(tmp_path: Path) -> None:
    for name in ("c.toml", "d.toml"):
        (tmp_path / name).write_text(WHOLE)
    ran = longline("campaign", "run", "c.toml", "d.toml", cwd=tmp_path)
    assert ran.returncode == 2
    assert "d.toml:2: [campaign] name: 'watch': two files" in ran.stderr


def test_a_store_that_is_no_file_needs_a_log(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(WHOLE)
    ran = longline("campaign", "run", "c.toml", "--store", "mongodb://127.0.0.1/x", cwd=tmp_path)
    assert ran.returncode == 2
    assert "--store" in ran.stderr


def test_an_agent_for_a_vantage_needs_a_coordinator(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(WHOLE.replace("known_every", 'vantages = ["alice"]\nknown_every'))
    ran = longline("campaign", "run", "c.toml", "--once", cwd=tmp_path)
    assert ran.returncode == 2
    assert "longline fleet init makes it" in ran.stderr


def test_every_scan_of_a_campaign_is_under_its_approval(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text(WHOLE.replace('name = "watch"', 'name = "watch"\napproval = "board 17"'))
    [*_, last] = given_by(campaign_of(str(file)))
    assert (last.section, last.field, last.value, last.origin) == (
        "scanner", "approval", "board 17", f"{file}:3: [campaign] approval",
    )  # fmt: skip
