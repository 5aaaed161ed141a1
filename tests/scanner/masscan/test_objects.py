"""JSON and NDJSON, as masscan's readers know them."""

from __future__ import annotations

import json

import pytest

from stages.scanner.masscan.items import Banner, Item, Status
from stages.scanner.masscan.objects import BadJson, JsonWriter, NdjsonWriter, read_json, read_ndjson
from stages.scanner.masscan.writing import About

OPEN = Status(1_390_380_064, "1.2.3.4", "tcp", 80, "open", 0x12, 48)
SAID = Banner(1_390_380_065, "1.2.3.4", "tcp", 80, "http", b'a "b"\n')


def test_an_array_line_by_line() -> None:
    made = JsonWriter(About())
    text = (made.begin() + made.items([OPEN, SAID]) + made.end(0)).decode()
    assert text.splitlines() == [
        "[",
        '{   "ip": "1.2.3.4",   "timestamp": "1390380064", "ports": '
        '[ {"port": 80, "proto": "tcp", "status": "open", "reason": "syn-ack", "ttl": 48} ] }',
        ",",
        '{   "ip": "1.2.3.4",   "timestamp": "1390380065", "ports": '
        '[ {"port": 80, "proto": "tcp", "service": {"name": "http", "banner": "a \\u0022b\\u0022\\u000a"} } ] }',
        "]",
    ]
    assert json.loads(text)[1]["ports"][0]["service"]["banner"] == 'a "b"\n'


def test_lines() -> None:
    made = NdjsonWriter(About())
    lines = made.items([OPEN, SAID]).decode().splitlines()
    assert json.loads(lines[0]) == {
        "ip": "1.2.3.4", "timestamp": "1390380064", "port": 80, "proto": "tcp", "rec_type": "status",
        "data": {"status": "open", "reason": "syn-ack", "ttl": 48},
    }  # fmt: skip
    assert json.loads(lines[1])["data"] == {"service_name": "http", "banner": 'a "b"\n'}


def test_masscans_own_arrays() -> None:
    """Of 1.3.2, closed and cut; of versions that ended theirs with what is no JSON."""
    one = (
        '{   "ip": "1.2.3.4",   "timestamp": "1390380064", "ports": '
        '[ {"port": 80, "proto": "tcp", "status": "open", "reason": "syn-ack", "ttl": 48} ] }\n'
    )
    wanted: list[Item] = [OPEN, OPEN]
    for text in (f"[\n{one},\n{one}]\n", f"[\n{one},\n{one},\n", f"[\n{one},\n{one},\n{one[:40]}"):
        assert list(read_json(text.encode())) == wanted
    assert list(read_json(f"[\n{one[:-1]},\n{one[:-1]},\n{{finished: 1}}\n]\n".encode())) == wanted


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (b"{}", "no array"),
        (b"[1]", "'1' is no object"),
        (b'[{"ip": "1.2.3.4"}]', "no list of ports"),
        (b'[{"ip": "1.2.3.4", "ports": [{"port": 1}]}]', "no 'timestamp'"),
        (b'[{"ip": "x", "timestamp": "1", "ports": [{"port": 1, "proto": "tcp"}]}]', "'x' does not appear"),
        (b'[\n{"ip": }\n]\n', "line 2, column "),
    ],
)
def test_what_is_no_array_of_masscans(text: bytes, named: str) -> None:
    with pytest.raises(BadJson, match=named):
        list(read_json(text))


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (b'{"a": }\n', "line 1, column "),
        (b'{"a": 1}\n', "no 'timestamp'"),
        (b'{"ip":"1.2.3.4","timestamp":"1","port":70000,"proto":"tcp","rec_type":"status","data":{}}\n', "70000"),
        (b'{"ip":"1.2.3.4","timestamp":"1","port":7,"proto":"tcp","rec_type":"status","data":{"status":"ajar"}}\n',
         "'ajar' is no state"),
    ],
)  # fmt: skip
def test_what_is_no_line_of_masscans(text: bytes, named: str) -> None:
    with pytest.raises(BadJson, match=named):
        list(read_ndjson(text))
