"""Names and numbers of code points."""

from __future__ import annotations

import pytest

from stages.proto.rules.codes import extension_code, group_code, number, suite_code, version_code
from stages.proto.tls.suites import SUITES


def test_names_and_numbers() -> None:
    assert [suite_code(name) for name in SUITES.values()] == list(SUITES)
    assert (suite_code("57"), suite_code("0x0039"), suite_code("0XC02F")) == (57, 57, 0xC02F)
    assert [version_code(word) for word in ("ssl3", "SSLv3", "TLSv1.3", "tls1.2")] == [0x300, 0x300, 0x304, 0x303]
    assert (extension_code("key_share"), extension_code("65281")) == (51, 0xFF01)
    assert (group_code("x25519"), group_code("0x0100")) == (29, 256)


@pytest.mark.parametrize("text", ["", "65536", "0x", "0x10000", "-1", "1.0", "x", "٣", "1 "])
def test_what_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        number(text, "suite")
    with pytest.raises(ValueError, match=r"ssl3, tls1\.0"):
        version_code(text)
    for read in (suite_code, extension_code, group_code):
        with pytest.raises(ValueError, match=r"."):
            read(text)
