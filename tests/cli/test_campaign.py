from __future__ import annotations

import json
import time
from contextlib import closing
from pathlib import Path

import pytest

from stages.campaign.journal import Journal
from tests.campaign.material import campaign
from tests.cli.command import longline

SCAN = '[scanner]\ntargets = ["10.0.0.0/28"]\ntarget_ports = "80"\nscan = "town"\n'


def test_submitted_looked_at_and_stopped(tmp_path: Path) -> None:
    (tmp_path / "scan.toml").write_text(SCAN)
    ran = longline("campaign", "submit", "scan.toml", cwd=tmp_path)
    assert (ran.returncode, ran.stdout) == (0, "town: 16 targets\n"), ran.stderr
    assert longline("campaign", "status", "--json", cwd=tmp_path).stdout == "", "no coordinator has taken it yet"
    assert longline("campaign", "stop", "town", cwd=tmp_path).returncode == 0
    ran = longline("campaign", "stop", "city", cwd=tmp_path)
    assert ran.returncode == 2
    assert "'city': no such scan" in ran.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[scanner]\nscan = = 1", "line 2"),
        (SCAN + "[bannergrab]\ndata = 'my.payload'", "bannergrab.data: 'my.payload'"),
        (SCAN + "[tlsgrab]\nmode = 'jarm'", "tlsgrab.mode: 'jarm'"),
        (SCAN + "[tlsgrab]\nmodes = 'full'", "tlsgrab.modes"),
        ("[scaner]\nx = 1", "'scaner'"),
        ("[scanner]\ntarget_port = 1", "target_ports"),
        ("[scanner]\ntargets = ['10.0.0.0/33']\ntarget_ports='80'\nscan='s'", "10.0.0.0/33"),
        ("[scanner]\ntargets = ['10.0.0.0/28']\nscan='s'", "--target-ports"),
        ("[scanner]\ntargets = ['10.0.0.0/28']\ntarget_ports='80'", "name"),
        ("[scanner]\ntargets = ['10.0.0.0/28']\ntarget_ports='80'\nscan='s'\nmax_results = 3", "max_results"),
    ],
)
def test_a_bad_file_is_named_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "scan.toml").write_text(text)
    ran = longline("campaign", "submit", "scan.toml", cwd=tmp_path)
    assert ran.returncode == 2
    assert said in ran.stderr, ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("submit",), "which one"),
        (("submit", "no.toml"), "no such file"),
        (("status", "x"), "of all scans and campaigns"),
        (("list", "x"), "of all scans and campaigns"),
        (("pause", "x", "y"), "one at a time"),
        (("status",), "no such file"),
        (("list",), "no such file"),
        (("pause", "x"), "longline campaign run makes it"),
        (("resume", "x"), "longline campaign run makes it"),
        (("run",), "which one"),
        (("run", "no.toml"), "no such file"),
        (("stop", "x"), "no such file"),
    ],
)
def test_bad_words(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    ran = longline("campaign", *words, cwd=tmp_path)
    assert ran.returncode == 2
    assert said in ran.stderr


def test_a_campaign_is_paused_resumed_and_looked_at(tmp_path: Path) -> None:
    with closing(Journal(tmp_path / "campaign.db")) as journal:
        journal.register(campaign("watch", known_every=10), time.time() - 100)
    assert longline("campaign", "pause", "watch", cwd=tmp_path).returncode == 0
    again = longline("campaign", "pause", "watch", cwd=tmp_path)
    assert (again.returncode, again.stderr) == (0, "longline campaign: watch is paused already\n")
    row = json.loads(longline("campaign", "status", "--json", cwd=tmp_path).stdout)
    assert (row["campaign"], row["state"], row["sweeps"]) == ("watch", "paused", [])
    assert longline("campaign", "resume", "watch", cwd=tmp_path).returncode == 0
    assert "watch" in longline("campaign", "status", cwd=tmp_path).stdout
    assert json.loads(longline("campaign", "list", "--json", cwd=tmp_path).stdout)["paused"] is None
    other = longline("campaign", "pause", "other", cwd=tmp_path)
    assert other.returncode == 2
    assert "'other': no such campaign" in other.stderr


def test_status_is_of_campaigns_and_of_the_fleets_scans(tmp_path: Path) -> None:
    (tmp_path / "scan.toml").write_text(SCAN)
    assert longline("campaign", "submit", "scan.toml", cwd=tmp_path).returncode == 0
    with closing(Journal(tmp_path / "campaign.db")) as journal:
        journal.register(campaign("watch"), time.time())
    said = longline("campaign", "status", cwd=tmp_path)
    assert said.returncode == 0, said.stderr
    assert "watch" in said.stdout
    assert "twice" in said.stdout
