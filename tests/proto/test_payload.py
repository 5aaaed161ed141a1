from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.proto.payload import MAX_PAYLOAD_BYTES, Payload


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        (b"", b""),
        (b"GET / HTTP/1.1\r\nHost: %s\r\n\r\n", b"GET / HTTP/1.1\r\nHost: 192.0.2.1\r\n\r\n"),
        (b"%s", b"192.0.2.1"),
        (b"%s%s%s%s%s%s", b"192.0.2.1" * 6),
        (b"%%", b"%"),
        (b"%%s", b"%s"),
        (b"%%%s", b"%192.0.2.1"),
        (b"%%%%s%s", b"%%s192.0.2.1"),
        (b"%", b"%"),
        (b"100%", b"100%"),
        (b"%d %n %x %1$s %S", b"%d %n %x %1$s %S"),
        (b"a\0b\0%s\0", b"a\0b\x00192.0.2.1\0"),
        (b"\xff\xfe%s\x80", b"\xff\xfe192.0.2.1\x80"),
        (b"% s", b"% s"),
    ],
)
def test_render(template: bytes, expected: bytes) -> None:
    assert Payload.parse(template).render("192.0.2.1") == expected


def test_an_ipv6_address_is_filled_in_as_it_is() -> None:
    assert Payload.parse(b"<%s>").render("2001:db8::1") == b"<2001:db8::1>"


def test_a_payload_without_address_is_constant() -> None:
    assert Payload.parse(b"QUIT 100%%\r\n").constant == b"QUIT 100%\r\n"
    assert Payload.parse(b"%s").constant is None


def test_a_payload_has_a_bound() -> None:
    Payload.parse(bytes(MAX_PAYLOAD_BYTES))
    with pytest.raises(ValueError, match="at most"):
        Payload.parse(bytes(MAX_PAYLOAD_BYTES + 1))


def by_hand(template: bytes, address: bytes) -> bytes:
    """One byte after the other."""
    out = bytearray()
    position = 0
    while position < len(template):
        two = template[position : position + 2]
        out += address if two == b"%s" else b"%" if two == b"%%" else two[:1]
        position += 2 if two in (b"%s", b"%%") else 1
    return bytes(out)


@given(st.lists(st.sampled_from([b"%", b"s", b"%s", b"%%", b"\0", b"x", b"\xff"])).map(b"".join))
def test_against_a_reader_by_hand(template: bytes) -> None:
    assert Payload.parse(template).render("203.0.113.77") == by_hand(template, b"203.0.113.77")


@given(st.binary())
def test_any_bytes_without_percent_stand_for_themselves(template: bytes) -> None:
    template = template.replace(b"%", b"")
    assert Payload.parse(template).render("203.0.113.77") == template


def test_the_form_with_fields() -> None:
    payload = Payload.parse_fields(b"${DADDR} %s")
    assert payload.fields is not None
    assert (payload.constant, payload.max_length) == (None, 15 + 3)
    same = Payload.parse_fields(b"100% ${HEX=00}")
    assert (same.fields, same.constant, same.template) == (None, b"100% \x00", b"100% ${HEX=00}")
    with pytest.raises(ValueError, match="'SADR'"):
        Payload.parse_fields(b"${SADR}")
    with pytest.raises(ValueError, match="at most 1048576"):
        Payload.parse_fields(b"x" * MAX_PAYLOAD_BYTES + b"${RAND_BYTE}")
    assert Payload.parse(b"to %s").max_length == 3 + 15
