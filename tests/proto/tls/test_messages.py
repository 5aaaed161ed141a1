"""Handshake messages out of fragments."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.proto.tls.messages import MAX_MESSAGE, MessageReader, message
from stages.proto.tls.records import TlsFormatError


@given(
    st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=60)), max_size=8),
    st.lists(st.integers(0, 30), max_size=60),
)
def test_whatever_the_fragments_the_messages_are_the_same(parts: list[tuple[int, bytes]], sizes: list[int]) -> None:
    whole = [message(kind, body) for kind, body in parts]
    data = b"".join(whole)
    reader = MessageReader()
    seen: list[bytes] = []
    for size in [*sizes, len(data)]:
        piece, data = data[:size], data[size:]
        reader.push(piece)
        while (one := reader.pull()) is not None:
            seen.append(one)
    assert seen == whole
    assert reader.empty


def test_a_length_beyond_the_bound_is_refused_before_anything_is_kept() -> None:
    reader = MessageReader()
    reader.push(b"\x0b" + (MAX_MESSAGE + 1).to_bytes(3, "big"))
    with pytest.raises(TlsFormatError, match=f"at most {MAX_MESSAGE}"):
        reader.pull()


def test_the_longest_message_in_fragments_of_one_byte() -> None:
    """Without copying what is there for each byte that comes: 72 GB would not end in the time of a test."""
    reader = MessageReader()
    longest = message(11, bytes(MAX_MESSAGE))
    for at in range(len(longest)):
        assert reader.pull() is None
        reader.push(longest[at : at + 1])
    assert not reader.empty
    assert reader.pull() == longest
    assert reader.empty
