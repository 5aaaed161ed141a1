from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.proto import ssdp

ANSWER = (
    b"HTTP/1.1 200 OK\r\nCACHE-CONTROL: max-age=120\r\nDate: today\r\nEXT:\r\nLocation: http://10.0.0.1:80/d.xml\r\n"
    b"SERVER: Linux/3 UPnP/1.0 x/1\r\nST: upnp:rootdevice\r\nUSN: uuid:1::upnp:rootdevice\r\nX-User-Agent: a\r\n"
    b"Agent: b\r\nOther: c\r\nno colon\r\n\r\n"
)


def test_the_headers_by_zmaps_names() -> None:
    assert ssdp.read(ANSWER) == {
        "cache_control": "max-age=120", "date": "today", "ext": "", "location": "http://10.0.0.1:80/d.xml",
        "server": "Linux/3 UPnP/1.0 x/1", "st": "upnp:rootdevice", "usn": "uuid:1::upnp:rootdevice",
        "x_user_agent": "a", "agent": "b",
    }  # fmt: skip
    assert ssdp.read(ANSWER.replace(b"\r\n", b"\n")) == ssdp.read(ANSWER)


@pytest.mark.parametrize("data", [b"", b"HTTP/1.1 404 Not Found\r\nST: x", b"NOTIFY * HTTP/1.1\r\nST: x"])
def test_something_else(data: bytes) -> None:
    assert ssdp.read(data) == {}


@given(st.binary(max_size=80))
def test_any_bytes(data: bytes) -> None:
    assert all(isinstance(value, str) for value in ssdp.read(b"HTTP/1.1 200 OK\r\nST:" + data).values())
