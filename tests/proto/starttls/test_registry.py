"""By name and by port."""

from __future__ import annotations

import pytest

from stages.proto.starttls.registry import AUTO, BY_NAME, BY_PORT, protocol_of
from stages.tlsgrab.settings import STARTTLS


def test_what_can_be_chosen_is_what_there_is() -> None:
    assert tuple(BY_NAME) == STARTTLS
    assert set(BY_PORT.values()) == set(BY_NAME)
    assert AUTO not in BY_NAME


@pytest.mark.parametrize("name", BY_NAME)
def test_each_begins_anew(name: str) -> None:
    one, two = BY_NAME[name](b"a.test"), BY_NAME[name](None)
    assert one is not two
    assert not one.ready
    assert one.rest == b""


def test_by_port_or_by_choice() -> None:
    assert protocol_of(AUTO, 25) == "smtp"
    assert protocol_of(AUTO, 443) is None
    assert protocol_of("imap", 25) == "imap"
    assert protocol_of(None, 25) is None
