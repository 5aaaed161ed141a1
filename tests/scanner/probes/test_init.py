from __future__ import annotations

import subprocess
import sys

import pytest

from stages.scanner import probes


def test_names() -> None:
    assert probes.NAMES == ("tcp_synscan", "icmp_echoscan")


def test_an_unknown_module_is_named_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"'udp_magic'.*tcp_synscan"):
        probes.get("udp_magic")


def test_the_registry_imports_no_numba() -> None:
    code = "import sys, stages.scanner.probes\nprint('numba' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False False"
