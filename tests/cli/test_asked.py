from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from stages.cli import asked, spec
from stages.cli.sections import SECTIONS
from stages.core.errors import LonglineError
from stages.core.settings import load
from stages.fleet.work import PAYLOADS, BannerGrab, Saying, TlsGrab
from stages.proto import ready
from stages.proto.dialogues.registry import DIALOGUES
from stages.tlsgrab.settings import STARTTLS


def of(text: str, folder: Path) -> tuple[BannerGrab | None, TlsGrab | None]:
    (folder / "scan.toml").write_text(text)
    values = spec.read(str(folder / "scan.toml"), *asked.SECTIONS)
    return asked.grabs_of(load(SECTIONS, argv=values, environ={}, file=None), values.keys())


@pytest.mark.parametrize(
    ("text", "banner", "tls"),
    [
        ("[scanner]\nscan = 's'", None, None),
        ("[bannergrab]", BannerGrab(), None),
        ("[tlsgrab]", None, TlsGrab()),
        ("[bannergrab]\n[tlsgrab]\nmode = 'full'", BannerGrab(), TlsGrab(mode="full")),
        ("[bannergrab]\ndata = 'http-req'", BannerGrab(wait=0.0), None),
        ("[bannergrab]\ndata = 'http-req'\nwait = 1", BannerGrab(wait=1.0), None),
        ("[bannergrab]\ntalk = 'ssh'\nports = '22'", BannerGrab(say="ssh", wait=0.0, ports="22"), None),
        ("[bannergrab]\ntalk = 'wait'\nread_timeout = 9", BannerGrab(say="wait", wait=0.0, read_timeout=9.0), None),
        ("[grab]\nwhat = 'tls'", None, TlsGrab(ports="*")),
        ("[grab]\nwhat = 'http-req'\nwait = 1", BannerGrab(wait=1.0, ports="*"), None),
        ("[grab]\nwhat = 'esmtp'", BannerGrab(say="esmtp", wait=0.0, ports="*"), None),
        ("[grab]", None, None),
    ],
)
def test_a_file_says_what_is_grabbed(text: str, banner: BannerGrab | None, tls: TlsGrab | None, tmp_path: Path) -> None:
    assert of(text, tmp_path) == (banner, tls)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[bannergrab]\ndata = '/etc/passwd'", "bannergrab.data: '/etc/passwd': an agent says what it knows by name"),
        ("[bannergrab]\ndata = 'template:x'", "bannergrab.data"),
        ("[bannergrab]\nuntil = 'x'", "bannergrab.until"),
        ("[bannergrab]\ndata='http-req'\ntransport = 'udp'", "bannergrab.transport"),
        ("[bannergrab]\ntotal_timeout = 3600", "bannergrab.total_timeout: 3600"),
        ("[bannergrab]\nmax_bytes = 700000", "bannergrab.max_bytes"),
        ("[bannergrab]\nports = '1-70000'", "ports"),
        ("[tlsgrab]\nmode = 'jarm'", "tlsgrab.mode: 'jarm'"),
        ("[tlsgrab]\nrules = ['tor']", "tlsgrab.rules"),
        ("[tlsgrab]\nserver_name = 'example.org'", "tlsgrab.server_name"),
        ("[tlsgrab]\nmax_connections = 9", "tlsgrab.max_connections"),
        ("[grab]\nwhat = './mine'", "grab.what: './mine'"),
        ("[grab]\nhold = true", "grab.hold"),
        ("[grab]\nwhat = 'tls'\n[tlsgrab]", "one of them"),
        ("[continue]\nvia = 'raw'", "continue"),
        ("[bannergrabs]", "'bannergrabs'"),
        ("[bannergrab]\nspeak = 1", "bannergrab.speak"),
    ],
)
def test_what_cannot_be_asked_of_agents_is_named(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(LonglineError) as raised:
        of(text, tmp_path)
    assert said in str(raised.value)


def test_the_closed_lists_are_those_of_the_stages() -> None:
    assert set(get_args(Saying)) == {*DIALOGUES, *PAYLOADS, "wait"}
    assert set(PAYLOADS) <= set(ready.NAMES)
    starttls = TlsGrab.model_json_schema()["properties"]["starttls"]["anyOf"][0]["enum"]
    assert set(starttls) == {"auto", *STARTTLS}
    for section, names in asked.CARRIED.items():
        assert set(names) <= set(SECTIONS[section].model_fields)
        kind = BannerGrab if section == "bannergrab" else TlsGrab
        defaults = {name: SECTIONS[section].model_fields[name].default for name in names}
        assert {name: kind.model_fields[name].default for name in names} == defaults
