"""Where answers end, however they are cut."""

from __future__ import annotations

import pytest

from stages.proto.dialogues.http_answer import (
    MAX_ANSWER,
    MAX_HEAD,
    MAX_INTERIM,
    MAX_LINE,
    Answer,
    HttpFormatError,
)

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, Chunked\r\n\r\n"
#: An answer -> bytes of its body; its last byte makes it whole.
WHOLE = [
    (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nServer: x\r\n\r\nhello", 5),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 0),
    (CHUNKED + b"5\r\nhello\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n", 15),
    (CHUNKED + b"0\r\nTrailer: x\r\n\r\n", 0),
    (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\nHTTP/1.1 204 No\r\n\r\n", 0),
    (b"HTTP/1.0 304 Not Modified\nContent-Length: 9\n\n", 0),
    (b"HTTP/1.1 101 Switching\r\n\r\n", 0),
    (b"HTTP/2 200\r\ncontent-length: 1\r\n\r\nx", 1),
]
BROKEN = [
    b"SSH-2.0-OpenSSH_9.2\r\n",
    b"\x15\x03\x03\0\2\2\x46",
    b"HTTP/1.1 OK\r\n",
    b"HTTP/1.1 2000 OK\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 21 + b"\r\n\r\n",
    CHUNKED + b"x\r\n",
    CHUNKED + b"-1\r\n",
    CHUNKED + b"\r\n",
    CHUNKED + b"1\r\nab\r\n",
    CHUNKED + b"f" * 17 + b"\r\n",
    b"HTTP/1.1 200 " + b"x" * MAX_LINE,
    b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * (MAX_HEAD // 6),
    b"HTTP/1.1 100 Continue\r\n\r\n" * (MAX_INTERIM + 1),
    CHUNKED + b"0\r\n" + b"Trailer: x\r\n" * MAX_HEAD,
]


def feed(answer: Answer, data: bytes, size: int) -> bool:
    return any([answer.feed(data[at : at + size]) for at in range(0, len(data), size)])


@pytest.mark.parametrize("size", [1, 2, 7, 9999])
@pytest.mark.parametrize(("data", "body"), WHOLE)
def test_whole_with_the_last_byte_and_not_before(data: bytes, body: int, size: int) -> None:
    early = Answer()
    assert not feed(early, data[:-1], size)
    answer = Answer()
    assert feed(answer, data, size)
    assert (answer.whole, answer.body) == (True, body)


@pytest.mark.parametrize("size", [1, 1000, 99_999_999])
@pytest.mark.parametrize("data", BROKEN)
def test_what_is_no_answer(data: bytes, size: int) -> None:
    with pytest.raises(HttpFormatError):
        feed(Answer(), data, size)


def test_without_a_length_the_end_is_that_of_the_connection() -> None:
    answer = Answer()
    assert not answer.feed(b"HTTP/1.0 200 OK\r\n\r\nhello")
    assert not answer.feed(b" world")
    assert not answer.whole
    answer.closed()
    assert (answer.whole, answer.body) == (True, 11)


def test_an_answer_that_is_cut_is_not_whole() -> None:
    answer = Answer()
    answer.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello")
    answer.closed()
    assert not answer.whole


def test_html_without_a_head() -> None:
    answer = Answer()
    assert not answer.feed(b"<html>")
    answer.closed()
    assert (answer.version, answer.status, answer.whole, answer.body) == ("0.9", 0, True, 6)


def test_an_answer_without_end_is_let_be_and_nothing_of_it_is_held() -> None:
    answer = Answer()
    answer.feed(CHUNKED)
    fed = 0
    while not answer.feed(b"1\r\nx\r\n" * 1000):
        fed += 1
        assert fed < MAX_ANSWER
        assert len(answer._held) <= MAX_LINE
    assert not answer.whole
    assert answer.size < MAX_ANSWER + 10_000
