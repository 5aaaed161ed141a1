from __future__ import annotations

import orjson

from stages.scanner.fields import choose
from stages.scanner.hits import HitLines, HitSource
from stages.scanner.outputs.base import Format
from stages.scanner.outputs.json import Json
from tests.servers.answers import rst, synack


def test_one_object_a_line_without_what_is_unknown() -> None:
    module = Json(Format(choose("saddr,sport,tcpopt_mss,success", "tcp_synscan"), HitLines(HitSource("s", "p"))))
    assert module.begin() == b""
    lines = module.render([synack(), rst(port=0)]).splitlines()
    assert [orjson.loads(line) for line in lines] == [
        {"saddr": "10.0.0.1", "sport": 80, "tcpopt_mss": 1460, "success": True},
        {"saddr": "10.0.0.1", "sport": 0, "success": False},
    ]
    assert module.render([]) == b""
