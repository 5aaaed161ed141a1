from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint

import pytest

from stages.scanner import probes
from stages.scanner.probes import Entry


def test_names() -> None:
    assert probes.NAMES == (
        "tcp_synscan", "tcp_synackscan", "icmp_echoscan", "icmp_echo_time", "udp", "dns", "ntp", "upnp",
    )  # fmt: skip
    assert probes.names()[: len(probes.NAMES)] == probes.NAMES


def test_an_unknown_module_is_named_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"'udp_magic'.*tcp_synscan"):
        probes.get("udp_magic")


def test_the_registry_imports_no_numba() -> None:
    code = "import sys, stages.scanner.probes\nprint('numba' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False False"


OURS = Entry("elsewhere.ack", "stages.scanner.fields:TCP_FIELDS")


@pytest.fixture
def others(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Entry points of other packages: one that is right, two that are not, one with a name of ours."""
    points = [
        EntryPoint("tcp_ackscan", "tests.scanner.probes.test_init:OURS", probes.GROUP),
        EntryPoint("gone", "no_such_package:PROBE", probes.GROUP),
        EntryPoint("wrong", "tests.scanner.probes.test_init:SECRET", probes.GROUP),
        EntryPoint("udp", "no_such_package:PROBE", probes.GROUP),
    ]

    def found(*, group: str) -> list[EntryPoint]:
        return [point for point in points if point.group == group]

    monkeypatch.setattr(probes, "entry_points", found)
    monkeypatch.setattr(EntryPoint, "load", load)
    for cached in (probes._others, probes.entry):
        cached.cache_clear()
    yield
    for cached in (probes._others, probes.entry):
        cached.cache_clear()


def load(point: EntryPoint) -> object:
    if point.module != "tests.scanner.probes.test_init":
        raise ModuleNotFoundError(f"No module named {point.module!r}")
    return globals()[point.attr]


SECRET = "no entry"


@pytest.mark.usefixtures("others")
def test_modules_of_other_packages() -> None:
    assert probes.names() == (*probes.NAMES, "tcp_ackscan", "gone", "wrong")
    assert probes.entry("tcp_ackscan") is OURS
    assert probes.entry("udp") is probes.REGISTRY["udp"]
    with pytest.raises(ValueError, match=r"'gone' \(no_such_package:PROBE\) cannot be loaded: No module named"):
        probes.entry("gone")
    with pytest.raises(ValueError, match=r"'wrong': .* is no stages.scanner.probes.Entry"):
        probes.entry("wrong")
