from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from stages.cli import zmap_ways
from stages.cli.sections import SECTIONS
from stages.core.errors import UsageError
from stages.core.logs import ROOT, set_up
from stages.core.settings import Loaded, load
from stages.scanner.settings import ScannerSettings
from tests.cli.command import longline


@pytest.fixture(autouse=True)
def _log_and_processors_as_they_were(tmp_path: Path) -> Iterator[None]:
    before = os.sched_getaffinity(0)
    yield
    os.sched_setaffinity(0, before)
    for handler in list(logging.getLogger(ROOT).handlers):
        if str(getattr(getattr(handler, "stream", None), "name", "")).startswith(str(tmp_path)):
            assert isinstance(handler, logging.StreamHandler)
            handler.stream.close()
    set_up({})


def loaded(**sections: dict[str, object]) -> Loaded:
    return load(SECTIONS, argv=sections, environ={}, file=None)


def test_iplayer_is_an_engine() -> None:
    made = zmap_ways.applied(loaded(zmap={"iplayer": True}))
    assert made.get("scanner", ScannerSettings).engine == "ip"
    with pytest.raises(UsageError, match="-X/--iplayer: means --engine ip, and --engine xdp was given"):
        zmap_ways.applied(loaded(zmap={"iplayer": True}, scanner={"engine": "xdp"}))


def test_cores() -> None:
    one = min(os.sched_getaffinity(0))
    zmap_ways.applied(loaded(zmap={"cores": str(one)}))
    assert os.sched_getaffinity(0) == {one}
    with pytest.raises(UsageError, match=f"--cores: '9999': no such processors: there are {one} "):
        zmap_ways.applied(loaded(zmap={"cores": "9999"}))


def test_the_log_goes_into_a_file(tmp_path: Path) -> None:
    name = zmap_ways.begin_log(loaded(zmap={"log_file": str(tmp_path / "log")}, scanner={"source_port": "3"}))
    assert name == str(tmp_path / "log")
    assert "-s 3 is the source port of every probe; the seed of the order is -e/--seed" in Path(name).read_text()
    with pytest.raises(UsageError, match=r"-l/--log-file: '.*none/log': cannot be written"):
        zmap_ways.begin_log(loaded(zmap={"log_file": str(tmp_path / "none" / "log")}))


def test_or_into_a_folder(tmp_path: Path) -> None:
    name = zmap_ways.begin_log(loaded(zmap={"log_directory": str(tmp_path)}))
    assert name is not None
    assert re.fullmatch(r"zmap-\d{4}-\d\d-\d\dT\d{6}[+-]\d{4}\.log", Path(name).name)
    assert Path(name).exists()


@pytest.mark.parametrize(
    ("fields", "hinted"),
    [
        ({"source_port": "3"}, True),
        ({"source_port": "3", "seed": 5}, False),
        ({"source_port": "40000"}, False),
        ({"source_port": "3-9"}, False),
        ({}, False),
    ],
)
def test_who_means_a_seed_gets_a_hint(fields: dict[str, object], hinted: bool) -> None:
    assert (zmap_ways.seed_hint(loaded(scanner=fields)) is not None) is hinted


def test_a_log_file_leaves_standard_error_alone(tmp_path: Path) -> None:
    ran = longline("scan", "-d", "-n", "1", "-p", "80", "-s", "3", "-l", tmp_path / "log", "10.0.0.0/24")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "-s 3 is the source port" in (tmp_path / "log").read_text()


def test_a_template_that_is_sent_as_it_stands_is_hinted_at(tmp_path: Path) -> None:
    (tmp_path / "a.tpl").write_text("OPTIONS sip:${DADDR}")
    (tmp_path / "b.pkt").write_bytes(bytes(50))
    for args, hinted in ((f"file:{tmp_path}/a.tpl", True), (f"file:{tmp_path}/b.pkt", False), ("text:${X}", False),
                         (f"template:{tmp_path}/a.tpl", False), ("file:/none", False)):  # fmt: skip
        hint = zmap_ways.template_hint(loaded(scanner={"probe_module": "udp", "probe_args": args}))
        assert (hint is not None) is hinted, args
        assert hint is None or hint.endswith("which file: sends as it stands; template: fills it in")
