from __future__ import annotations

import subprocess
import sys

import pytest

from stages.core.errors import UsageError
from stages.proto.template import FIELDS
from stages.scanner import fields, listing, outputs, probes
from stages.scanner.fields import fields_of
from stages.scanner.settings import ScannerSettings


def test_nothing_asked() -> None:
    assert listing.text(ScannerSettings(probe_module="udp", probe_args="payloads")) is None
    assert listing.text(ScannerSettings(probe_args="template-fields")) is None  # of the module udp


def test_modules() -> None:
    assert (listing.text(ScannerSettings(list_probe_modules=True)) or "").split() == list(probes.names())
    assert (listing.text(ScannerSettings(list_output_modules=True)) or "").split() == list(outputs.NAMES)


@pytest.mark.parametrize("probe", probes.NAMES)
def test_fields(probe: str) -> None:
    lines = (listing.text(ScannerSettings(probe_module=probe, list_output_fields=True)) or "").splitlines()
    for field, line in zip(fields_of(probe), lines, strict=True):
        head, _, text = line.partition(": ")
        assert (head.split(), text) == ([field.name, field.type], field.help)


def test_template_fields() -> None:
    text = listing.text(ScannerSettings(probe_module="udp", probe_args="template-fields")) or ""
    assert [line.partition(":")[0] for line in text.splitlines()] == list(FIELDS)


def test_a_module_that_cannot_be_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(probe: str) -> None:
        raise ValueError(f"probe module {probe!r} cannot be loaded")

    monkeypatch.setattr(fields, "fields_of", gone)
    with pytest.raises(UsageError, match=r"-M/--probe-module: 'udp': .* cannot be loaded"):
        listing.text(ScannerSettings(probe_module="udp", list_output_fields=True))


@pytest.mark.parametrize("argv", [
    ["--list-probe-modules"], ["-M", "dns", "--list-output-fields"], ["-M", "udp", "--probe-args", "template-fields"],
])  # fmt: skip
def test_from_the_command_line(argv: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "stages.cli.main", "scan", *argv], capture_output=True, text=True, check=True
    )
    assert len(done.stdout.splitlines()) >= len(probes.NAMES)
    assert done.stderr == ""


def test_a_scan_imports_no_numpy_for_it() -> None:
    """Before the capabilities are in safe hands there must be no other threads."""
    code = (
        "import sys\nfrom stages.scanner import listing\nfrom stages.scanner.settings import ScannerSettings\n"
        "listing.text(ScannerSettings())\nprint('numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
