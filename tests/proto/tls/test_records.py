"""Records out of bytes in any pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.proto.tls.records import MAX_FRAGMENT, ForeignError, RecordReader, TlsFormatError, record

KINDS = st.sampled_from([20, 21, 22, 23])


@given(st.lists(st.tuples(KINDS, st.binary(max_size=60)), max_size=8), st.lists(st.integers(1, 30), max_size=60))
def test_whatever_the_pieces_the_records_are_the_same(records: list[tuple[int, bytes]], sizes: list[int]) -> None:
    whole = [record(kind, 0x0303, body) for kind, body in records]
    data = b"".join(whole)
    reader = RecordReader()
    seen: list[bytes] = []
    for size in [*sizes, len(data)]:
        piece, data = data[:size], data[size:]
        if piece:
            reader.push(piece)
        while (one := reader.pull()) is not None:
            seen.append(one)
    assert seen == whole
    assert reader.rest == b""


def test_what_stands_before_nonsense_is_seen() -> None:
    reader = RecordReader()
    reader.push(record(21, 0x0301, b"\2\x28") + b"HTTP/1.1")
    assert reader.pull() == record(21, 0x0301, b"\2\x28")
    with pytest.raises(ForeignError, match="content type 72"):
        reader.pull()
    assert reader.rest == b"HTTP/1.1"


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"\x80", "content type 128"),
        (b"\x16\x02\x00\x00\x01", "record version 0x0200"),
        (b"\x16\x03\x03" + (MAX_FRAGMENT + 1).to_bytes(2, "big"), f"record of {MAX_FRAGMENT + 1} bytes"),
    ],
)
def test_what_is_no_record(data: bytes, error: str) -> None:
    reader = RecordReader()
    reader.push(data)
    with pytest.raises(TlsFormatError, match=error):
        reader.pull()


def test_the_longest_record() -> None:
    reader = RecordReader()
    longest = record(23, 0x0303, bytes(MAX_FRAGMENT))
    reader.push(longest[:-1])
    assert reader.pull() is None
    reader.push(longest[-1:])
    assert reader.pull() == longest
