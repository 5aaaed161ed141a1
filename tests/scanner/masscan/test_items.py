"""Words for flags and protocols."""

from __future__ import annotations

import pytest

from stages.scanner.masscan.items import (
    PROTOCOLS,
    protocol_name,
    protocol_number,
    reason_of,
    reason_text,
    usual_reason,
)


@pytest.mark.parametrize(("flags", "text"), [(0x12, "syn-ack"), (0x14, "rst-ack"), (0x04, "rst"), (0, "none")])
def test_reasons(flags: int, text: str) -> None:
    assert reason_text(flags) == text
    assert reason_of(text) == flags


def test_every_byte_of_flags_has_a_name_of_its_own() -> None:
    assert [reason_of(reason_text(flags)) for flags in range(256)] == list(range(256))
    assert reason_of("response") == 0
    assert (usual_reason("tcp", "open"), usual_reason("tcp", "closed"), usual_reason("udp", "open")) == (0x12, 0x14, 0)


def test_protocols() -> None:
    for name, number in PROTOCOLS.items():
        assert (protocol_number(name), protocol_name(number)) == (number, name)
    assert (protocol_name(99), protocol_number("99")) == ("99", 99)
    with pytest.raises(ValueError, match="no protocol 'ipx'"):
        protocol_number("ipx")
