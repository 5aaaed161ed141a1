from __future__ import annotations

from stages.scanner.fields import default_fields
from stages.scanner.hits import HitLines, HitSource
from stages.scanner.outputs.base import Format
from stages.scanner.outputs.null import Null
from tests.servers.answers import synack


def test_nothing_is_written() -> None:
    module = Null(Format(default_fields("tcp_synscan", 1), HitLines(HitSource("s", "p"))))
    assert module.begin() + module.render([synack()]) == b""
