"""docs/from-zmap.md is what the code says now, and every option of its table is understood."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from stages.cli.sections import SECTIONS
from stages.core.options import given
from stages.core.settings import load
from stages.scanner.zmap_options import OPTIONS, Known
from tests.cli.command import longline
from tests.docs import from_zmap
from tests.require import require


def test_it_is_as_the_code_says() -> None:
    assert from_zmap.FILE.read_text() == from_zmap.text(), "run: python -m tests.docs.from_zmap"


@pytest.mark.parametrize("known", OPTIONS, ids=lambda known: known.flags.split()[-1])
def test_each_option_is_understood(known: Known) -> None:
    """Every spelling of it, alone, as `--long value` and `--long=value`, gives the same settings."""
    parser, places = from_zmap.parser(), from_zmap.settings_of_scan()
    made = []
    for flag in known.flags.split():
        if flag in ("-h", "--help", "-V", "--version"):
            with pytest.raises(SystemExit) as ended:
                parser.parse_args([flag])
            assert ended.value.code == 0
            continue
        typed = [[flag]] if known.example is None else [[flag, known.example]]
        if known.example is not None and flag.startswith("--"):
            typed.append([f"{flag}={known.example}"])
        for words in typed:
            space = parser.parse_args(words)
            argv = {name: given(space, SECTIONS[name]) for name in from_zmap.OF_SCAN}
            if flag in ("-C", "--config"):
                assert space.config == known.example
                continue
            assert places.get(flag) is not None or flag == "--no-header-row"
            assert sum(map(len, argv.values())) == 1
            if flag == "--shard":
                argv["scanner"]["shards"] = "4"
            load(SECTIONS, argv=argv, environ={}, file=None)  # the value is one
            made.append(argv)
    assert all(each == made[0] for each in made)


def test_every_option_of_the_real_zmap_is_in_the_table() -> None:
    require(shutil.which("zmap"), "Debian's zmap")
    text = subprocess.run(["zmap", "--help"], capture_output=True, text=True, check=False).stdout
    theirs = set(re.findall(r"^\s+(?:-\w, )?(--[a-z-]+)", text, re.MULTILINE))
    theirs |= set(re.findall(r"^\s+(-\w), --", text, re.MULTILINE))
    assert len(theirs) > 60
    assert theirs <= {flag for known in OPTIONS for flag in known.flags.split()}


def test_an_unknown_option_names_the_nearest() -> None:
    ran = longline("scan", "--blaclist-file", "x", "-p", "80")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "unknown option '--blaclist-file'; did you mean '--blacklist-file'?" in ran.stderr


def test_bandwidth_wins_over_rate() -> None:
    ran = longline("scan", "-r", "5", "-B", "10M", "-p", "9", "--engine", "connect", "-q", "-c", "0", "127.0.0.1")
    assert ran.returncode == 0, ran.stderr
    assert " probes/s" in ran.stderr
    assert " 5 probes/s" not in ran.stderr
