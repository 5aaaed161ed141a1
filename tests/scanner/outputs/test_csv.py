from __future__ import annotations

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.scanner.fields import Field, choose, default_fields
from stages.scanner.hits import HitLines, HitSource
from stages.scanner.outputs.base import Format
from stages.scanner.outputs.csv import Csv
from tests.servers.answers import datagram, rst, synack, unreachable

HITS = HitLines(HitSource("s", "tcp_synscan"))


def module(fields: str | tuple[Field, ...], *, header_row: bool = True) -> Csv:
    chosen = choose(fields, "tcp_synscan") if isinstance(fields, str) else fields
    return Csv(Format(chosen, HITS, header_row))


def test_zmaps_default_is_a_header_and_addresses() -> None:
    one = module(default_fields("tcp_synscan", 1))
    assert one.begin() + one.render([synack(), synack(address="255.0.0.1")]) == b"saddr\n10.0.0.1\n255.0.0.1\n"
    several = module(default_fields("tcp_synscan", 2))
    assert several.begin() + several.render([synack(port=443)]) == b"saddr,sport\n10.0.0.1,443\n"


def test_without_a_header() -> None:
    assert module("saddr", header_row=False).begin() == b""


def test_unknown_is_empty_and_booleans_are_0_and_1() -> None:
    one = module("saddr,tcpopt_mss,success,repeat,icmp_unreach_str,rtt")
    lines = one.render([synack(mss=0), rst(repeat=1), unreachable()]).decode().splitlines()
    assert lines == [
        "10.0.0.1,,1,0,,0.000123",
        "10.0.0.1,,0,1,,0.000123",
        "10.0.0.1,,0,0,communication admin. prohibited,",
    ]


def test_nothing_is_nothing() -> None:
    assert module("saddr").render([]) == b""
    assert module("*").render([]) == b""


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=10), min_size=2, max_size=5))
def test_any_text_comes_back(values: list[str]) -> None:
    fields = tuple(Field(f"f{i}", "string", "", lambda a, v=value: v) for i, value in enumerate(values))  # type: ignore[misc]
    text = module(fields).render([synack()]).decode()
    assert next(csv.reader(io.StringIO(text, newline=""))) == values


@pytest.mark.parametrize(("value", "cell"), [('a"b', '"a""b"'), ("a,b", '"a,b"'), ("a\nb", '"a\nb"'), ("a b", "a b")])
def test_quoting(value: str, cell: str) -> None:
    assert module((Field("f", "string", "", lambda a: value),)).render([synack()]).decode() == cell + "\n"


def test_a_list_of_objects_is_a_cell_of_json() -> None:
    message = bytes.fromhex("000181800001000000000000" + "0161000001" + "0001")
    one = Csv(Format(choose("saddr,dns_questions,raw_data", "dns"), HITS, False))
    (cells,) = csv.reader(io.StringIO(one.render([datagram(message)]).decode()))
    assert json.loads(cells[1]) == [{"name": "a", "qtype": 1, "qtype_str": "A", "qclass": 1}]
    assert cells[2] == message.hex()
