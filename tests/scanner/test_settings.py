from __future__ import annotations

import argparse
import subprocess
import sys

import pytest

from stages.core.errors import SettingError
from stages.core.options import add_section, given
from stages.core.settings import BusSettings, ListSettings, MetricsSettings, load
from stages.scanner import probes
from stages.scanner.settings import DEFAULT_FILTER, ScannerSettings


def typed(*argv: str, environ: dict[str, str] | None = None) -> ScannerSettings:
    """As the command takes it."""
    sections = {"scanner": ScannerSettings, "lists": ListSettings, "bus": BusSettings, "metrics": MetricsSettings}
    parser = argparse.ArgumentParser(exit_on_error=False)
    for section in sections.values():
        add_section(parser, section)
    namespace = parser.parse_args(argv)
    loaded = load(
        sections, argv={name: given(namespace, s) for name, s in sections.items()}, environ=environ or {}, file=None
    )
    settings = loaded.section("scanner")
    assert isinstance(settings, ScannerSettings)
    return settings


def test_zmaps_short_options() -> None:
    line = (
        "-p 80,443 -o out.csv -n 10% -N 7 -t 60 -r 5000 -B 1.5M -c 2 -e 9 -s 40000-50000 -S 192.0.2.2 -i eth9 "
        "-G 02:00:00:00:00:01 -M tcp_synscan -O json -f saddr,ttl -d -q -v 5 -T 2 -P 3 10.0.0.0/8 10.1.0.1"
    )
    settings = typed(*line.split())
    assert settings.ports == (80, 443)
    assert settings.source_ports == (40000, 50000)
    assert settings.targets == ("10.0.0.0/8", "10.1.0.1")
    assert settings.bandwidth == 1.5e6
    assert (settings.max_targets, settings.max_results, settings.max_runtime) == ("10%", 7, 60)
    assert (settings.rate, settings.cooldown_time, settings.seed, settings.probes) == (5000, 2, 9, 3)
    assert settings.dryrun
    assert settings.quiet
    assert settings.verbosity == 5


def test_zmaps_long_options() -> None:
    settings = typed(
        "--target-ports=80", "--output-file=-", "--max-targets=5", "--max-results=1", "--max-runtime=1", "--rate=1",
        "--bandwidth=1G", "--cooldown-time=1", "--seed=1", "--source-port=1", "--source-ip=192.0.2.1", "--gateway-mac",
        "02:00:00:00:00:01", "--interface=x", "--probe-module=tcp_synscan", "--output-module=csv",
        "--output-fields=saddr", "--dryrun", "--quiet", "--verbosity=0", "--sender-threads=1", "--probes=1",
        "--probe-args=linux", "--probe-ttl=9", "--engine=packet", "--vantage=v", "--scan=s", "--publish=all",
        "--checkpoint=c", "--no-header-row",
    )  # fmt: skip
    assert settings.ports == (80,)
    assert settings.publishes == "all"
    assert not settings.header_row


def test_defaults_are_zmaps() -> None:
    settings = typed()
    assert (settings.rate, settings.cooldown_time, settings.probe_module) == (10_000, 8, "tcp_synscan")
    assert settings.source_ports == (32768, 61000)
    assert settings.ports is None
    assert settings.publishes == "success"


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["-p", "70000"], "-p/--target-ports: '70000': '70000' is above the largest port, 65535"),
        (["-p", "abc"], "-p/--target-ports: 'abc': 'abc' is not a port or a range of ports"),
        (["-p", "100-90"], "-p/--target-ports: '100-90': '100-90' is an inverted range"),
        (["-s", "5-4"], "-s/--source-port: '5-4': '5-4' is an inverted range"),
        (["-r", "fast"], "-r/--rate: 'fast': not a number"),
        (["-r", "-1"], "-r/--rate"),
        (["-B", "0"], "-B/--bandwidth"),
        (["-n", "0"], "-n/--max-targets: '0': no targets at all"),
        (["-n", "120%"], "more than 100%"),
        (["-N", "0"], "-N/--max-results"),
        (["-e", "-1"], "-e/--seed"),
        (["-M", "tcp_sinscan"], "did you mean 'tcp_synscan'"),
        (["-O", "xmk"], "-O/--output-module: 'xmk': not one of csv"),
        (["--engine", "dpdk"], "--engine: 'dpdk'"),
        (["--vlan", "4095"], "--vlan"),
        (["-G", "nonsense"], "-G/--gateway-mac: 'nonsense': not a MAC address"),
        (["-S", "300.1.1.1"], "-S/--source-ip"),
        (["-P", "0"], "-P/--probes"),
        (["-P", "2", "-s", "40000"], "2 probes a target .-P. need as many source ports .-s., and 40000 is 1"),
        (["--probe-ttl", "0"], "--probe-ttl"),
        (["-v", "6"], "-v/--verbosity"),
        (["--publish", "some"], "--publish"),
        (["--checkpoint", "a", "--resume", "b"], "--resume goes on writing to its own file"),
    ],
)
def test_bad_values_name_the_option_and_the_value(argv: list[str], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        typed(*argv)


def test_a_number_in_the_file_is_text_here() -> None:
    assert ScannerSettings.model_validate({"target_ports": 80, "max_targets": 5}).ports == (80,)


def test_the_environment() -> None:
    assert typed(environ={"LONGLINE_SCANNER_RATE": "2K"}).rate == 2000


@pytest.mark.parametrize(
    ("argv", "publishes"),
    [
        ([], "success"),
        (["-O", "json"], "all"),  # as ZMap: whoever says what to write gets everything
        (["-f", "saddr,classification"], "all"),
        (["-f", "saddr", "--publish", "success"], "success"),
        (["-O", "list"], "success"),
        (["-O", "hits"], "success"),
        (["-O", "hits", "--publish", "all"], "all"),
    ],
)
def test_what_is_written(argv: list[str], publishes: str) -> None:
    assert typed(*argv).publishes == publishes


def test_the_registry_says_which_modules_have_ports() -> None:
    assert {name for name in probes.NAMES if not probes.get(name).uses_ports} == {
        name for name in probes.NAMES if not probes.entry(name).ports
    }


def test_help_is_quick_because_nothing_heavy_is_imported() -> None:
    code = "import sys, stages.scanner.settings; print(*{m.split('.')[0] for m in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"numpy", "numba", "orjson", "scapy", "prometheus_client", "asyncio"} & set(loaded)


def test_the_filter_says_which_answers_are_results() -> None:
    """ZMap's default filter holds in its default mode; whoever says what to write and how, gets everything."""
    for fields, text in (
        ({}, DEFAULT_FILTER), ({"output_fields": "*"}, ""), ({"output_module": "csv"}, ""),
        ({"output_module": "json"}, ""), ({"output_module": "hits"}, DEFAULT_FILTER), ({"publish": "all"}, ""),
        ({"publish": "success", "output_module": "json"}, DEFAULT_FILTER), ({"output_filter": " ttl > 3 "}, "ttl > 3"),
        ({"output_filter": ""}, ""),
    ):  # fmt: skip
        assert ScannerSettings(**fields).filter_text == text, fields  # type: ignore[arg-type]
    assert ScannerSettings(output_filter="success = 1").publishes == "all"
    with pytest.raises(ValueError, match="give one of them"):
        ScannerSettings(output_filter="ttl = 1", publish="all")
