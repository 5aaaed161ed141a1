"""Texts of peers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stages.proto.dialogues.facts import NAMES, TEXT, text, texts


def test_text_is_what_it_is_where_it_can_be_printed() -> None:
    assert text(b"OpenSSH_9.2p1 Debian") == "OpenSSH_9.2p1 Debian"
    assert text("größer".encode()) == "größer"
    assert text("größer".encode(), 3) == "gr"
    assert text(b"a\r\n\0\xff") == "a\\r\\n\\x00\\xff"


@given(st.binary(max_size=2 * TEXT))
def test_text_is_bounded_and_printable(data: bytes) -> None:
    shown = text(data)
    assert len(shown.encode()) <= TEXT
    assert shown.isprintable()


def test_lists_are_bounded() -> None:
    assert texts([b"abc", b"d"], 1, 2) == ["ab"]
    assert len(texts([b"x"] * 999)) == NAMES
