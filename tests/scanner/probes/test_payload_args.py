from __future__ import annotations

from pathlib import Path

import pytest

from stages.scanner.probes.payload_args import literal, split


def test_forms(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"\x00\xff")
    assert literal("text", "a:b\u00e9") == b"a:b\xc3\xa9"
    assert literal("hex", "00 fF") == b"\x00\xff"
    assert literal("file", str(tmp_path / "file")) == b"\x00\xff"
    assert literal("template", "x") is None
    assert split("udp", "text:a:b", "text:...") == ("text", "a:b")


def test_what_is_wrong() -> None:
    with pytest.raises(ValueError, match=r"udp takes text:\.\.\., not 'text'"):
        split("udp", "text", "text:...")
    with pytest.raises(ValueError, match="hexadecimal digits, not '0g'"):
        literal("hex", "0g")
    with pytest.raises(FileNotFoundError):
        literal("file", "/nowhere")
