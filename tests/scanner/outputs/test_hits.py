from __future__ import annotations

from stages.core import records
from stages.scanner.fields import default_fields
from stages.scanner.hits import HitLines, HitSource
from stages.scanner.outputs.base import Format
from stages.scanner.outputs.hits import Hits
from tests.servers.answers import rst, synack


def test_full_records_a_line_each() -> None:
    module = Hits(Format(default_fields("tcp_synscan", 1), HitLines(HitSource("s", "tcp_synscan"))))
    assert module.begin() == b""
    hits = [records.parse(line) for line in module.render([synack(), rst(port=81)]).splitlines()]
    assert [(hit.ip, hit.port, hit.classification) for hit in hits] == [
        ("10.0.0.1", 80, "synack"), ("10.0.0.1", 81, "rst"),
    ]  # type: ignore[union-attr]  # fmt: skip
    assert module.render([]) == b""
