from __future__ import annotations

from stages.scanner.answers import SYNACK
from stages.scanner.fields import default_fields
from stages.scanner.hits import HitLines, HitSource
from stages.scanner.outputs.base import Format
from stages.scanner.outputs.list import List
from stages.scanner.rows import connected
from tests.servers.answers import synack

V6 = connected("2001:db8::1", 443, SYNACK, ts=1, rtt=None)


def module(ports: int) -> List:
    return List(Format(default_fields("tcp_synscan", ports), HitLines(HitSource("s", "p"))))


def test_addresses() -> None:
    assert module(1).begin() == b""
    assert module(1).render([synack(), V6]) == b"10.0.0.1\n2001:db8::1\n"


def test_with_ports_where_several_were_scanned() -> None:
    assert module(2).render([synack(), V6]) == b"10.0.0.1:80\n[2001:db8::1]:443\n"
