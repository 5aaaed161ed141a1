from __future__ import annotations

import datetime as dt

import pytest

from stages.cli import notice_findings as findings
from stages.fleet.notice import read
from tests.fleet.notices import TEXT, notice


@pytest.mark.parametrize(
    ("names", "back", "state", "said"),
    [
        ((), (), "FAIL", "192.0.2.10 has no name"),
        (("scan.example",), (), "FAIL", "does not lead back"),
        (("scan.example",), ("192.0.2.11",), "FAIL", "does not lead back"),
        (("host-10.example",), ("192.0.2.10",), "warn", "host-10.example"),
        (("host-10.example", "research-probe.example"), ("192.0.2.10",), "pass", "and back"),
        (("scan.example",), ("192.0.2.11", "192.0.2.10"), "pass", "scan.example, and back"),
    ],
)
def test_names(names: tuple[str, ...], back: tuple[str, ...], state: str, said: str) -> None:
    found = findings.named("192.0.2.10", names, back)
    assert (found.state, found.check) == (state, "reverse DNS")
    assert said in found.text
    assert found.mend or state == "pass"


@pytest.mark.parametrize(
    ("status", "body", "state", "said"),
    [
        (None, "", "FAIL", "does not answer: refused"),
        (404, "scan@measurement.example", "FAIL", "answers with 404"),
        (200, "Welcome to nginx", "FAIL", "does not name scan@measurement.example"),
        (200, "<p>scan@measurement.example", "pass", "names scan@measurement.example"),
    ],
)
def test_pages(status: int | None, body: str, state: str, said: str) -> None:
    found = findings.page(notice(), "http://192.0.2.10/", status, body, "refused")
    assert (found.state, found.check) == (state, "notice")
    assert said in found.text


@pytest.mark.parametrize(
    ("said", "state"),
    [
        (None, "pass"),
        (b"GET / HTTP/1.0\r\nUser-Agent: x (+https://SCAN.measurement.example/)\r\n\r\n", "pass"),
        (b"EHLO scan\r\n scan@measurement.example", "pass"),
        (b"User-Agent: longline/0.1 (+https://other.example)", "warn"),
        (b"\xff", "warn"),
    ],
)
def test_words_of_probes(said: bytes | None, state: str) -> None:
    found = findings.probe_text(notice(), "x", said)
    assert found.state == state
    assert ("https://scan.measurement.example/" in found.mend) is (state == "warn")


def test_what_has_ended_is_told() -> None:
    assert findings.read(notice(), "f", dt.date(2099, 1, 1)).state == "pass"
    assert findings.read(notice(more=True), "f", dt.date(2027, 1, 1)).state == "pass"
    ended = findings.read(notice(more=True), "f", dt.date(2027, 1, 2))
    assert (ended.state, ended.text) == ("warn", "f: said to have ended on 2027-01-01")


def test_which_addresses_are_looked_at() -> None:
    addresses, wide = findings.looked_at(notice())
    assert addresses == ["192.0.2.10", *(f"192.0.2.{n}" for n in range(128, 144)), "2001:db8::1"]
    assert wide == []
    addresses, wide = findings.looked_at(read(TEXT.replace("2001:db8::1", "2001:db8::/64"), "f"))
    assert len(addresses) == 17
    assert [findings.too_wide(network).state for network in wide] == ["warn"]
