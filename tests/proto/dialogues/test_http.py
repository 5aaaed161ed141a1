"""`http`."""

from __future__ import annotations

import pytest

from stages.proto.dialogues.http import begin, request
from tests.proto.dialogues.peers import PACE, Target, converse, hear, target

ANSWER = (
    b"HTTP/1.1 301 Moved\r\nServer: nginx/1.22.1\r\nLocation: https://a.example/\r\nContent-Type: text/html\r\n"
    b"Content-Length: 5\r\n\r\nhello"
)


@pytest.mark.parametrize(
    ("address", "port", "name", "host"),
    [
        ("192.0.2.1", 80, None, b"192.0.2.1"),
        ("192.0.2.1", 8080, "a.example", b"a.example:8080"),
        ("2001:db8::1", 8080, None, b"[2001:db8::1]:8080"),
    ],
)
def test_the_request(address: str, port: int, name: str | None, host: bytes) -> None:
    said = request(Target(address, port, name))
    assert said.startswith(b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n")
    assert b"\r\nConnection: close\r\n" in said
    assert said.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("size", [1, 5, None])
def test_it_ends_with_the_answer(size: int | None) -> None:
    talk = begin(target(), PACE)
    assert talk.opening() == request(target())
    converse(talk, [(ANSWER[:-1], b""), (ANSWER[-1:], None)], size)
    assert (talk.service, talk.broken) == ("http", None)
    assert talk.facts == {
        "version": "1.1", "status": 301, "server": "nginx/1.22.1", "location": "https://a.example/",
        "content_type": "text/html", "body": 5, "whole": True,
    }  # fmt: skip


def test_cut_by_the_peer() -> None:
    talk = converse(begin(target(), PACE), [(ANSWER[:-2], b"")])
    assert (talk.service, talk.facts["whole"], talk.facts["body"]) == ("http", False, 3)
    talk = converse(begin(target(), PACE), [(b"HTTP/1.0 200 OK\r\n\r\nhello", b"")])
    assert (talk.facts["whole"], talk.facts["body"]) == (True, 5)


def test_no_http() -> None:
    talk = begin(target(), PACE)
    assert hear(talk, b"220 mail ESMTP\r\n") is None
    assert (talk.service, talk.broken, talk.facts) == (None, "no HTTP answer", {"error": "no HTTP answer"})


def test_nothing_came() -> None:
    assert converse(begin(target(), PACE), []).facts == {}
