from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.proto.template import FIELDS, Field, FieldError, Template, Values, fields_text, stream

VALUES = Values(0xC0000202, 0x0A000001, 40000, 80, seed=7, microseconds=1_700_000_000_123_000)


def rendered(text: str, values: Values = VALUES) -> bytes:
    return Template.parse(text.encode("latin-1")).render(values)


@pytest.mark.parametrize(("text", "payload"), [
    ("", b""),
    ("plain $ { } ${", b"plain $ { } ${"),
    ("${SADDR}|${DADDR}", b"192.0.2.2|10.0.0.1"),
    ("${SADDR_N}${DADDR_N}", bytes([192, 0, 2, 2, 10, 0, 0, 1])),
    ("${SPORT}:${DPORT}", b"40000:80"),
    ("${SPORT_N}${DPORT_N}", b"\x9c\x40\x00\x50"),
    ("a${HEX=00ffA5}b${HEX=}", b"a\x00\xff\xa5b"),
    ("${UNIXTIME_SEC}${UNIXTIME_USEC}", (1_700_000_000).to_bytes(4, "big") + (123_000).to_bytes(4, "big")),
    ("${NTP_TIMESTAMP}", ((1_700_000_000 + 2_208_988_800) & 0xFFFFFFFF).to_bytes(4, "big")
     + (123_000 * 2**32 // 10**6).to_bytes(4, "big")),
    ("\xff\x00${HEX=24}{SADDR}", b"\xff\x00${SADDR}"),
])  # fmt: skip
def test_fields(text: str, payload: bytes) -> None:
    assert rendered(text) == payload


@pytest.mark.parametrize(("name", "allowed"), [
    ("RAND_DIGIT", b"0123456789"),
    ("RAND_ALPHA", bytes(range(65, 91)) + bytes(range(97, 123))),
    ("RAND_ALPHANUM", bytes(range(65, 91)) + bytes(range(97, 123)) + b"0123456789"),
    ("RAND_BYTE", bytes(range(256))),
])  # fmt: skip
def test_random_fields_use_their_whole_alphabet_and_nothing_else(name: str, allowed: bytes) -> None:
    drawn = rendered(f"${{{name}=5000}}")
    assert len(drawn) == 5000
    assert set(drawn) == set(allowed)
    assert len(rendered(f"${{{name}}}")) == 1


def test_the_same_seed_gives_the_same_bytes_and_another_one_others() -> None:
    text = "${RAND_BYTE=16}"
    assert rendered(text) == rendered(text)
    assert rendered(text) != rendered(text, Values(0, 0, 0, 0, seed=8))
    first, second = rendered("${RAND_BYTE=9}"), rendered("${RAND_BYTE=9}${RAND_BYTE=8}")
    assert second[:9] == first
    assert second[9:] != first[:8]  # each field has words of its own


def test_the_stream_is_splitmix64() -> None:
    # The first outputs for seed 1234567 (Vigna's reference implementation).
    assert list(stream(1234567, 0, 3)) == [6457827717110365317, 3203168211198807973, 9817491932198370423]


@pytest.mark.parametrize(("text", "problem"), [
    ("${SADR}", "no template field 'SADR'; there are SADDR, "),
    ("${}", "no template field ''"),
    ("${saddr}", "'saddr'"),
    ("${SADDR=4}", "SADDR has no length of its own, and '4'"),
    ("${RAND_BYTE=}", "RAND_BYTE takes a length of 1 to 65507, not ''"),
    ("${RAND_DIGIT=0}", "not '0'"),
    ("${RAND_DIGIT=-1}", "not '-1'"),
    ("${RAND_DIGIT=99999}", "not '99999'"),
    ("${RAND_DIGIT=\xb2}", "RAND_DIGIT"),
    ("${HEX=0}", "HEX takes pairs of hexadecimal digits, not '0'"),
    ("${HEX=zz}", "not 'zz'"),
])  # fmt: skip
def test_what_is_no_field_is_named(text: str, problem: str) -> None:
    with pytest.raises(FieldError) as caught:
        Template.parse(text.encode("latin-1"))
    assert problem in str(caught.value)


@given(st.binary(max_size=60).filter(lambda raw: b"${" not in raw))
def test_other_bytes_stand_for_themselves(raw: bytes) -> None:
    template = Template.parse(raw)
    assert template.constant == raw
    assert template == Template.literal(raw)


@given(st.lists(st.sampled_from([f"${{{name}}}" for name in FIELDS if name != "HEX"] + ["lit", "\r\n"]), max_size=8))
def test_lengths(pieces: list[str]) -> None:
    template = Template.parse("".join(pieces).encode())
    longest = template.render(Values(0xFFFFFFFF, 0xFFFFFFFF, 65535, 65535, 1))
    assert len(longest) == template.max_length
    shortest = template.render(Values(0, 0, 0, 0, 1))
    assert (len(shortest) == len(longest)) == template.one_length
    assert not any(isinstance(a, bytes) and isinstance(b, bytes) for a, b in pairwise(template.parts))


def test_random_fields_in_order() -> None:
    template = Template.parse(b"${RAND_BYTE=9}x${SADDR}${RAND_DIGIT=2}")
    assert template.randoms == (Field("RAND_BYTE", 9, 0), Field("RAND_DIGIT", 2, 2))


def test_the_list_of_fields_names_all() -> None:
    assert [line.split(":")[0] for line in fields_text().splitlines()] == list(FIELDS)


def test_ipv6_addresses() -> None:
    values = Values(1, 0xFE80 << 112 | 2, 3, 4, 5, v6=True)
    assert rendered("${SADDR} ${DADDR}", values) == b"::1 fe80::2"
    assert rendered("${DADDR_N}", values) == b"\xfe\x80" + bytes(13) + b"\x02"
