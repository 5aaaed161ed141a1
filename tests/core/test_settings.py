"""The sections that all stages share."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from stages.core import settings
from stages.core.errors import SettingError
from stages.core.settings import (
    BusSettings,
    ListSettings,
    MetricsSettings,
    PolitenessSettings,
    RunnerSettings,
    StoreSettings,
    load,
)

SECTIONS = {
    "bus": BusSettings,
    "store": StoreSettings,
    "metrics": MetricsSettings,
    "politeness": PolitenessSettings,
    "lists": ListSettings,
    "runner": RunnerSettings,
}


def with_environment(**environ):
    return load(SECTIONS, argv={}, environ={f"LONGLINE_{key}": value for key, value in environ.items()}, file=None)


@pytest.mark.parametrize("section", SECTIONS.values())
def test_defaults_are_valid_and_helped(section):
    assert section.model_validate(section().model_dump()) == section()
    for name in section.model_fields:
        assert section.option(name).help, name


def test_bus_urls():
    bus = BusSettings()
    assert (bus.source, bus.sink) == ("-", "-")
    bus = with_environment(BUS_URL="sqlite:scan.db", BUS_TO="kafka://a:9092,b:9092").section("bus")
    assert (bus.source, bus.sink) == ("sqlite:scan.db", "kafka://a:9092,b:9092")
    # Two spellings of a file are one: `run` has its logs and its store in it.
    one = with_environment(BUS_URL="sqlite://scan.db", STORE_URL="sqlite://scan.db")
    assert one.section("bus").url == one.section("store").url == "sqlite:scan.db"
    assert with_environment(STORE_URL="sqlite:///srv/scan.db").section("store").url == "sqlite:/srv/scan.db"
    bus = with_environment(BUS_FROM="-", BUS_URL="memory:x").section("bus")
    assert (bus.source, bus.sink) == ("-", "memory:x")


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"BUS_URL": "http://x"}, "LONGLINE_BUS_URL: 'http://x': not one of -, sqlite:"),
        ({"BUS_FROM": "sqlite:"}, "LONGLINE_BUS_FROM: 'sqlite:': nothing follows"),
        ({"BUS_SECURITY_PROTOCOL": "SASL_SSL"}, "needs sasl_username and sasl_password"),
        ({"BUS_SSL_KEY_FILE": "k"}, "belong together"),
        ({"BUS_BATCH_LINES": "0"}, "LONGLINE_BUS_BATCH_LINES: '0'"),
        ({"STORE_URL": "here.db"}, "'here.db': not SCHEME:PLACE"),
        ({"METRICS_LISTEN": "9090"}, "not HOST:PORT"),
        ({"METRICS_LISTEN": ":70000"}, "not HOST:PORT"),
        ({"METRICS_LISTEN": ":http"}, "not HOST:PORT"),
        ({"RUNNER_LOW_WATER": "9000"}, "low_water 9000 is above high_water"),
        ({"POLITENESS_PER_HOST": "0"}, "LONGLINE_POLITENESS_PER_HOST: '0'"),
        ({"POLITENESS_RATE": "nan"}, "LONGLINE_POLITENESS_RATE: 'nan'"),
        ({"LISTS_POLL": "60"}, "less than or equal to 1"),
    ],
)
def test_refused(environ, message):
    with pytest.raises(SettingError, match=message):
        with_environment(**environ)


@pytest.mark.parametrize(
    ("listen", "address"),
    [(":9090", ("", 9090)), ("127.0.0.1:0", ("127.0.0.1", 0)), ("[::1]:9090", ("::1", 9090))],
)
def test_metrics_address(listen, address):
    assert MetricsSettings(listen=listen).address == address
    assert MetricsSettings().address is None


def test_blocklists_add_up():
    loaded = load(
        SECTIONS,
        argv={"lists": {"blocklist_file": ("mine",)}},
        environ={"LONGLINE_LISTS_BLOCKLIST_FILE": "house"},
        file=None,
    )
    assert loaded.section("lists").blocklist_file == ("house", "mine")


def test_all_is_exported():
    for name in settings.__all__:
        assert hasattr(settings, name)


def test_no_heavy_library_is_imported():
    heavy = [
        "asyncio",
        "numpy",
        "numba",
        "aiokafka",
        "motor",
        "scapy",
        "cryptography",
        "OpenSSL",
        "rich",
        "prometheus_client",
    ]
    code = f"import sys, stages.core.settings, stages.core.options; print([m for m in {heavy!r} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"


def test_true_is_no_number(tmp_path: Path) -> None:
    file = tmp_path / "longline.toml"
    file.write_text("[runner]\nspan = true\n")
    with pytest.raises(SettingError, match=r"\[runner\] span: True: not a value of this setting"):
        load({"runner": RunnerSettings}, argv={}, environ={}, file=file)
