"""Bytes as printable text and back."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from stages.scanner.masscan.words import escaped, json_escaped, json_unescaped, unescaped


def test_as_masscan_has_it() -> None:
    assert escaped(b"a <&>\\\"' \r\n\x80~") == r"a \x3c\x26\x3e\x5c\x22\x27 \x0d\x0a\x80~"
    assert json_escaped(b"a <\x80") == r"a \u003c\u0080"


@given(st.binary())
def test_what_was_escaped_comes_back(data: bytes) -> None:
    assert unescaped(escaped(data)) == data
    assert json_unescaped(json.loads(f'"{json_escaped(data)}"')) == data


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    assert isinstance(unescaped(text), bytes)
    assert isinstance(json_unescaped(text), bytes)
