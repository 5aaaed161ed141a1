from __future__ import annotations

import pytest

from stages.scanner.fields import choose
from stages.scanner.hits import HitLines, HitSource
from stages.scanner.outputs import OUTPUTS, Format
from stages.scanner.settings import OUTPUT_MODULES
from tests.servers.answers import rst, synack, unreachable


def test_the_settings_know_the_registry() -> None:
    assert tuple(OUTPUTS) == OUTPUT_MODULES


@pytest.mark.parametrize("name", OUTPUTS)
def test_every_module_writes_whole_lines(name: str) -> None:
    module = OUTPUTS[name](Format(choose("*", "tcp_synscan"), HitLines(HitSource("s", "tcp_synscan"))))
    answers = [synack(), rst(), unreachable()]
    data = module.begin() + module.render(answers[:1]) + module.render(answers[1:])
    assert data == module.begin() + module.render(answers)
    assert data == b"" or data.endswith(b"\n")
