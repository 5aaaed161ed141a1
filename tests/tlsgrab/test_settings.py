"""The options of tlsgrab."""

from __future__ import annotations

import argparse
import subprocess
import sys
from typing import Any

import pydantic
import pytest

from stages.core.errors import LonglineError, SettingError, UsageError
from stages.core.options import add_section, given
from stages.core.settings import load
from stages.tlsgrab.openssl import VERSION_CODES
from stages.tlsgrab.settings import DEFAULT_MAX_BYTES, VERSIONS, TlsgrabSettings


def loaded(*argv: str) -> TlsgrabSettings:
    parser = argparse.ArgumentParser()
    add_section(parser, TlsgrabSettings)
    typed = given(parser.parse_args(argv), TlsgrabSettings)
    section = load({"tlsgrab": TlsgrabSettings}, argv={"tlsgrab": typed}, environ={}, file=None).section("tlsgrab")
    assert isinstance(section, TlsgrabSettings)
    return section


def test_defaults() -> None:
    settings = loaded()
    assert (settings.alpn, settings.mode, settings.max_connections) == (("h2", "http/1.1"), "certificate", 2)
    assert settings.version_range == ("ssl3", "tls1.3")
    assert (settings.server_name, settings.ports, settings.port) == (None, None, None)
    assert settings.max_bytes == DEFAULT_MAX_BYTES


def test_all_of_them() -> None:
    settings = loaded(
        "-c", "50", "-p", "443", "-t", "3", "-r", "500ms", "--conn-timeout-min", "1", "--max-bytes", "1MiB",
        "--ports", "443,8443", "--server-name", "example.org", "--alpn", "imap,pop3",
        "--versions", "tls1.1-tls1.2",
    )  # fmt: skip
    assert (settings.concurrent, settings.port, settings.ports) == (50, 443, "443,8443")
    assert (settings.conn_timeout, settings.conn_timeout_min, settings.handshake_timeout) == (3.0, 1.0, 0.5)
    assert (settings.server_name, settings.alpn, settings.max_bytes) == ("example.org", ("imap", "pop3"), 2**20)
    assert settings.version_range == ("tls1.1", "tls1.2")


def test_no_protocol_may_be_offered() -> None:
    assert loaded("--alpn", "").alpn == ()


@pytest.mark.parametrize(
    ("argv", "named"),
    [
        (("-p", "70000"), "70000"),
        (("-p", "0"), "0"),
        (("-p", "abc"), "abc"),
        (("-c", "0"), "0"),
        (("--ports", "90-80"), "90-80"),
        (("--ports", "70000"), "70000"),
        (("-t", "0"), "0"),
        (("-r", "-1"), "-1"),
        (("--max-bytes", "0"), "0"),
        (("--server-name", "two words"), "not a host name"),
        (("--server-name", ""), "host name"),
        (("--server-name", "192.0.2.1"), "only with --sni-literal"),
        (("--server-name", "2001:db8::1"), "only with --sni-literal"),
        (("--server-name", "a b", "--sni-literal"), "not a host name"),
        (("--versions", "ssl2"), "'ssl2' is not one of ssl3, tls1.0"),
        (("--versions", "tls1.0-tls1.4"), "'tls1.4' is not one of"),
        (("--versions", "tls1.3-tls1.2"), "tls1.3 is above tls1.2"),
        (("--versions", "ssl3", "--mode", "full"), "full has no ssl3"),
        (("--mode", "half"), "certificate"),
        (("--max-connections", "0"), "0"),
        (("--alpn", "ü"), "ASCII"),
        (("--alpn", "x" * 256), "255"),
    ],
)
def test_bad_input_is_named(argv: tuple[str, ...], named: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises((SettingError, UsageError, SystemExit)) as caught:
        loaded(*argv)
    text = str(caught.value) if isinstance(caught.value, LonglineError) else capsys.readouterr().err
    assert named in text


def test_every_version_that_can_be_named_can_be_offered() -> None:
    assert ("ssl3", *VERSION_CODES) == VERSIONS
    assert sorted(VERSION_CODES.values()) == list(VERSION_CODES.values())


def test_settings_do_not_change() -> None:
    settings: Any = loaded()
    with pytest.raises(pydantic.ValidationError):
        settings.port = 1


def test_reading_the_settings_loads_nothing_heavy() -> None:
    code = (
        "import sys, stages.tlsgrab.settings; "
        "print([m for m in ('numpy', 'OpenSSL', 'cryptography', 'prometheus_client', 'orjson', 'asyncio')"
        " if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
