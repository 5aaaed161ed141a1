"""Scripts: every open plain kind has one, and no two services say the same."""

from __future__ import annotations

import pytest

from stages.simnet.behaviours import FLOOD_BYTES, GARBAGE_BYTES, End, garbage, http_response, script
from stages.simnet.truth import Kind

PLAIN = [kind for kind in Kind if kind.open and not kind.tls]


@pytest.mark.parametrize("kind", PLAIN)
def test_every_plain_kind_has_a_script(kind: Kind) -> None:
    assert script(kind, "10.0.0.1", 80, 7) == script(kind, "10.0.0.1", 80, 7)


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind not in PLAIN])
def test_other_kinds_have_none(kind: Kind) -> None:
    with pytest.raises(ValueError, match=kind.name):
        script(kind, "10.0.0.1", 80, 7)


@pytest.mark.parametrize(
    ("kind", "greets", "replies", "end"),
    [
        (Kind.HTTP, False, True, End.FIN),
        (Kind.SSH, True, False, End.STAY),
        (Kind.SMTP, True, False, End.STAY),
        (Kind.FTP, True, False, End.STAY),
        (Kind.SILENT, False, False, End.STAY),
        (Kind.DRIP, True, False, End.FIN),
        (Kind.FLOOD, True, False, End.FIN),
        (Kind.RESET, False, False, End.RST),
        (Kind.HALF_CLOSE, True, False, End.FIN),
        (Kind.GARBAGE, True, False, End.FIN),
        (Kind.CLOSE, False, False, End.FIN),
    ],
)
def test_shape(kind: Kind, greets: bool, replies: bool, end: End) -> None:
    play = script(kind, "10.0.0.1", 80, 7)
    assert (bool(play.greeting), play.reply is not None, play.end) == (greets, replies, end)
    assert bool(play.interval) == (kind is Kind.DRIP)


def test_an_answer_names_its_place() -> None:
    for kind in (Kind.SSH, Kind.SMTP, Kind.FTP, Kind.DRIP, Kind.FLOOD, Kind.HALF_CLOSE):
        assert b"10.0.0.1:80" in script(kind, "10.0.0.1", 80, 7).greeting
    assert b"10.0.0.1:80" in http_response("10.0.0.1", 80, 7)


def test_http_is_whole() -> None:
    head, _, body = http_response("10.0.0.1", 80, 7).partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}\r\n".encode() in head + b"\r\n"


@pytest.mark.parametrize("detail", [0, 1, 1935, 1936, 2**32 - 1])
def test_garbage_is_no_protocol(detail: int) -> None:
    data = garbage("10.0.0.1", 80, detail)
    assert 64 <= len(data) <= GARBAGE_BYTES
    assert data.startswith(b"\xff\x00")
    assert data != garbage("10.0.0.2", 80, detail)


def test_a_flood_is_long() -> None:
    assert len(script(Kind.FLOOD, "10.0.0.1", 80, 7).greeting) == FLOOD_BYTES
