from __future__ import annotations

import pytest

from stages.scanner import outputs
from stages.scanner.fields import choose
from stages.scanner.hits import HitLines, HitSource
from stages.scanner.outputs.base import Format
from tests.servers.answers import rst, synack, unreachable


@pytest.mark.parametrize("name", outputs.NAMES)
def test_every_module_writes_whole_lines(name: str) -> None:
    wanted = Format(choose("*", "tcp_synscan"), HitLines(HitSource("s", "tcp_synscan")))
    module, other = outputs.get(name)(wanted), outputs.get(name)(wanted)
    answers = [synack(), rst(), unreachable()]
    data = module.begin() + module.render(answers[:1]) + module.render(answers[1:])
    assert data == other.begin() + other.render(answers)
    assert data == b"" or data.endswith(b"\n") or name == "binary"
