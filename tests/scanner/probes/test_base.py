from __future__ import annotations

import pytest

from stages.scanner import probes
from stages.scanner.probes.base import ProbeModule


@pytest.mark.parametrize("name", probes.NAMES)
def test_every_module_keeps_the_contract(name: str) -> None:
    module = probes.get(name)
    assert isinstance(module, ProbeModule)
    assert (module.name, module.args) == (name, "")
    assert len(module.template) >= 34 + 8
    assert module.template[12:14] == b"\x08\x00"
    assert len(module.filter((32768, 61000))) % 8 == 0
    assert {"classification", "success"} <= set(module.fields)
    assert len(set(module.fields)) == len(module.fields)
