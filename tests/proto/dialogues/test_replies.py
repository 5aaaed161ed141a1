"""Answers of lines with a code."""

from __future__ import annotations

import pytest

from stages.proto.dialogues.replies import MAX_BYTES, MAX_LINE, MAX_LINES, Reply, ReplyFormatError, ReplyReader


def read(data: bytes, size: int) -> list[Reply]:
    reader = ReplyReader()
    return [reply for at in range(0, len(data), size) for reply in reader.feed(data[at : at + size])]


@pytest.mark.parametrize("size", [1, 3, 999])
def test_answers(size: int) -> None:
    data = b"220-one\r\n220 two\r\n250\n220-a\r\n free\r\n221 b\r\n220 c\r\n"
    assert read(data, size) == [
        Reply(220, (b"one", b"two")),
        Reply(250, (b"",)),
        Reply(220, (b"a", b" free", b"221 b", b"c")),
    ]
    assert read(b"220-one\r\n220 tw", size) == []


@pytest.mark.parametrize("size", [1, 1000, 99_999_999])
@pytest.mark.parametrize(
    "data",
    [
        b"hello",
        b"22x",
        b"2200 x\r\n",
        b"\r\n",
        b"220 a\r\nHTTP/1.1 200",
        b"220 " + b"x" * MAX_LINE,
        b"220-x\r\n" * (MAX_LINES + 1),
        (b"220-" + b"x" * 1000 + b"\r\n") * (MAX_BYTES // 1000 + 1),
    ],
)
def test_what_is_none(data: bytes, size: int) -> None:
    with pytest.raises(ReplyFormatError):
        read(data, size)
