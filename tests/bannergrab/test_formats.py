from __future__ import annotations

import ast
from base64 import b64decode

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.bannergrab.formats import escape, formatter
from stages.core.outcome import Outcome, Phase
from stages.core.records import Banner, parse


def banner(data: bytes = b"", outcome: Outcome = Outcome.OK, *, connect: float | None = 0.1, **more: object) -> Banner:
    fields = {"ip": "192.0.2.1", "port": 80, "transport": "tcp", **more}
    return Banner(scan="s", ts=1, outcome=outcome, phase=Phase.READ, connect=connect, data=data, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("hex", b"192.0.2.1 5353480d0aff00"),
        ("base64", b"192.0.2.1 U1NIDQr/AA=="),
        ("ascii", b"192.0.2.1 SSH\\r\\n\\xff\\x00"),
    ],
)
def test_lines_of_banner_grab(name: str, expected: bytes) -> None:
    assert formatter(name, 80)(banner(b"SSH\r\n\xff\0")) == expected


@pytest.mark.parametrize("name", ["hex", "base64", "ascii"])
@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (banner(outcome=Outcome.SILENT), b"192.0.2.1 X"),
        (banner(outcome=Outcome.EMPTY), b"192.0.2.1 X"),
        (banner(outcome=Outcome.RESET), b"192.0.2.1 X"),
        (banner(outcome=Outcome.REFUSED, connect=None), None),
        (banner(outcome=Outcome.TIMEOUT, connect=None), None),
        (banner(outcome=Outcome.UNREACHABLE, connect=None), None),
        (banner(outcome=Outcome.BLOCKED, connect=None), None),
        (banner(outcome=Outcome.TIMEOUT, connect=None, transport="udp"), None),
        (banner(outcome=Outcome.OK, connect=None, transport="udp"), b"192.0.2.1 X"),
        (banner(outcome=Outcome.SILENT, port=81), b"192.0.2.1:81 X"),
        (banner(outcome=Outcome.SILENT, ip="2001:db8::1"), b"2001:db8::1 X"),
        (banner(outcome=Outcome.SILENT, ip="2001:db8::1", port=81), b"[2001:db8::1]:81 X"),
    ],
)
def test_what_failed(name: str, record: Banner, expected: bytes | None) -> None:
    assert formatter(name, 80)(record) == expected


def test_json_is_the_record_also_of_what_failed() -> None:
    record = banner(outcome=Outcome.REFUSED, connect=None)
    line = formatter("json", 80)(record)
    assert line is not None
    assert parse(line) == record


def test_an_unknown_format() -> None:
    with pytest.raises(KeyError):
        formatter("xml", None)


@given(st.binary())
def test_ascii_never_breaks_a_line_and_loses_nothing(data: bytes) -> None:
    text = escape(data)
    assert all(0x20 <= byte < 0x7F for byte in text)
    assert ast.literal_eval('b"' + text.decode().replace('"', '\\"') + '"') == data
    assert text != b"X"


@given(st.binary(min_size=1))
def test_hex_and_base64_lose_nothing_and_are_never_mistaken_for_nothing(data: bytes) -> None:
    address, text = (formatter("hex", 80)(banner(data)) or b"").split(b" ")
    assert (address, bytes.fromhex(text.decode())) == (b"192.0.2.1", data)
    _, text = (formatter("base64", 80)(banner(data)) or b"").split(b" ")
    assert b64decode(text, validate=True) == data
    assert text != b"X"


def test_zgrab2_has_every_target() -> None:
    line = formatter("zgrab2", 80)(banner(b"SSH\xff"))
    assert line is not None
    assert orjson.loads(line)["data"]["banner"]["result"] == {"banner": "SSH\xff", "length": 4}
    failed = formatter("zgrab2", 80)(banner(outcome=Outcome.REFUSED, connect=None))
    assert failed is not None
    assert orjson.loads(failed)["data"]["banner"]["status"] == "connection-refused"
