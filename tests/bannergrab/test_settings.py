from __future__ import annotations

import argparse
import subprocess
import sys
from typing import Any

import pydantic
import pytest

from stages.bannergrab.settings import BannergrabSettings
from stages.core.errors import LonglineError, SettingError, UsageError
from stages.core.options import add_section, given
from stages.core.settings import load


def loaded(*argv: str) -> BannergrabSettings:
    parser = argparse.ArgumentParser()
    add_section(parser, BannergrabSettings)
    typed = given(parser.parse_args(argv), BannergrabSettings)
    settings = load({"bannergrab": BannergrabSettings}, argv={"bannergrab": typed}, environ={}, file=None)
    section = settings.section("bannergrab")
    assert isinstance(section, BannergrabSettings)
    return section


def test_the_letters_of_banner_grab() -> None:
    settings = loaded("-c", "500", "-p", "80", "-t", "3", "-r", "2", "-f", "base64", "-d", "http-req", "-v", "5")
    assert (settings.concurrent, settings.port, settings.conn_timeout, settings.read_timeout) == (500, 80, 3.0, 2.0)
    assert (settings.format, settings.data, settings.verbosity) == ("base64", "http-req", 5)
    assert settings.first == 2.0


def test_defaults() -> None:
    settings = loaded()
    assert (settings.over, settings.first, settings.max_bytes, settings.format) == ("tcp", 4.0, 65_536, None)


def test_the_first_byte_has_a_time_of_its_own() -> None:
    assert loaded("-r", "2", "--first-timeout", "9").first == 9.0


@pytest.mark.parametrize(
    "argv",
    [
        ("--talk", "ssh"),
        ("--talk", "identify", "-r", "2"),
        ("--talk", "wait"),
        ("--talk", "send", "-d", "x"),
        ("--talk", "wait-send", "-d", "x", "--wait", "1"),
    ],
)
def test_dialogues_by_name(argv: tuple[str, ...]) -> None:
    assert loaded(*argv).talk == argv[1]


@pytest.mark.parametrize("argv", [("--udp", "-d", "x"), ("--transport", "udp", "-d", "x")])
def test_udp(argv: tuple[str, ...]) -> None:
    assert loaded(*argv).over == "udp"


@pytest.mark.parametrize(
    ("argv", "named"),
    [
        (("-p", "70000"), "70000"),
        (("-p", "0"), "0"),
        (("-p", "abc"), "abc"),
        (("-c", "0"), "0"),
        (("-f", "xml"), "xml"),
        (("--ports", "90-80"), "90-80"),
        (("--ports", "70000"), "70000"),
        (("--until", "("), "regular expression"),
        (("--until", "(a+)+"), "repetition"),
        (("--wait", "1"), "--data"),
        (("--talk", "gopher"), "gopher"),
        (("--talk", "ssh", "-d", "x"), "--talk ssh says its own words: no --data"),
        (("--talk", "http", "--wait", "1", "-d", "x"), "no --data and no --wait"),
        (("--talk", "identify", "--until", "x"), "--until"),
        (("--talk", "esmtp", "--udp"), "over TCP"),
        (("--talk", "send"), "--talk send needs --data"),
        (("--talk", "wait", "-d", "x"), "--talk wait goes without --data"),
        (("--talk", "wait-send", "-d", "x"), "--talk wait-send needs --wait"),
        (("--udp",), "--data"),
        (("--udp", "-d", "x", "--wait", "1"), "--wait"),
        (("-t", "0"), "0"),
        (("-t", "-1"), "-1"),
        (("--max-bytes", "0"), "0"),
        (("--max-bytes", "2M"), "max"),
    ],
)
def test_bad_input_is_named(argv: tuple[str, ...], named: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises((SettingError, UsageError, SystemExit)) as caught:
        loaded(*argv)
    text = str(caught.value) if isinstance(caught.value, LonglineError) else capsys.readouterr().err
    assert named in text


def test_settings_do_not_change() -> None:
    settings: Any = loaded()
    with pytest.raises(pydantic.ValidationError):
        settings.port = 1


def test_reading_the_settings_loads_nothing_heavy() -> None:
    code = (
        "import sys, stages.bannergrab.settings; "
        "heavy = ('numpy', 'asyncio_dgram', 'cryptography', 'prometheus_client', 'orjson', 'asyncio'); "
        "print([m for m in heavy if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
