"""The walker: values as X.690 writes them, every bound, and any bytes at all."""

from __future__ import annotations

import os
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.proto.der import (
    GENERALIZED_TIME,
    MAX_BYTES,
    MAX_DEPTH,
    MAX_ELEMENTS,
    MAX_NOTES,
    SEQUENCE,
    UTC_TIME,
    DerError,
    Walker,
    wrap,
)
from tests.certificates.zoo import bombs, integer, oid, tlv, zoo

#: Inputs of the fuzz: a few seconds in `make test`, some minutes where LONGLINE_FUZZ is set.
FUZZ = 1_000_000 if os.environ.get("LONGLINE_FUZZ") else 20_000


def value(der: bytes, method: str) -> object:
    walker = Walker(der)
    return getattr(walker, method)(walker.root())


@given(st.integers(-(2**300), 2**300))
def test_integers(number: int) -> None:
    assert value(integer(number), "integer") == number


@given(st.lists(st.integers(0, 2**40), min_size=1, max_size=8), st.integers(0, 2), st.integers(0, 39))
def test_object_identifiers(arcs: list[int], first: int, second: int) -> None:
    text = ".".join(map(str, [first, second, *arcs]))
    assert value(oid(text), "oid") == text


@given(st.binary(max_size=300))
def test_wrap_is_what_is_read(content: bytes) -> None:
    walker = Walker(wrap(0x04, content))
    root = walker.root()
    assert (root.tag, walker.content(root), walker.notes) == (0x04, content, [])
    assert walker.whole(root) == walker.data


@pytest.mark.parametrize(
    ("tag", "text", "us", "notes"),
    [
        (UTC_TIME, b"700101000000Z", 0, []),
        (UTC_TIME, b"491231235959Z", 2_524_607_999_000_000, []),
        (UTC_TIME, b"500101000000Z", -631_152_000_000_000, []),
        (GENERALIZED_TIME, b"99991231235959Z", 253_402_300_799_000_000, []),
        (GENERALIZED_TIME, b"19700101000000.5Z", 500_000, ["a time with a fraction"]),
        (UTC_TIME, b"7001010000Z", 0, ["a time without seconds"]),
        (UTC_TIME, b"700101010000+0100", 0, ["a time with an offset"]),
        (GENERALIZED_TIME, b"19691231230000-0100", 0, ["a time with an offset"]),
        (GENERALIZED_TIME, b"19700101000000", 0, ["a time without a zone"]),
    ],
)
def test_times(tag: int, text: bytes, us: int, notes: list[str]) -> None:
    walker = Walker(wrap(tag, text))
    assert walker.time(walker.root()) == us
    assert walker.notes == notes


@pytest.mark.parametrize(
    "text",
    [b"", b"Z", b"261301000000Z", b"260230000000Z", b"260101250000Z", b"2601010000000Z", b"26010100000\xb2Z",
     b"+60101000000Z", b"260101000000X", b"260101000000+01", b"\xff" * 13],
)  # fmt: skip
def test_no_times(text: bytes) -> None:
    with pytest.raises(DerError):
        value(wrap(UTC_TIME, text), "time")
    with pytest.raises(DerError):
        value(wrap(GENERALIZED_TIME, b"0000" + text), "time")


@pytest.mark.parametrize(
    ("tag", "raw", "text", "noted"),
    [
        (0x0C, "zoë".encode(), "zoë", False),
        (0x0C, b"zo\xeb", "zoë", True),
        (0x13, b"plain", "plain", False),
        (0x13, b"zo\xeb", "zoë", True),
        (0x14, b"zo\xeb", "zoë", False),
        (0x1E, "zoë".encode("utf-16-be"), "zoë", False),
        (0x1E, b"\xd8\x00", "�", True),
        (0x1C, "zoë".encode("utf-32-be"), "zoë", False),
    ],
)
def test_strings(tag: int, raw: bytes, text: str, noted: bool) -> None:
    walker = Walker(wrap(tag, raw))
    assert walker.text(walker.root()) == text
    assert bool(walker.notes) is noted


@pytest.mark.parametrize(
    ("der", "method", "problem"),
    [
        (b"\x02\x00", "integer", "without a byte"),
        (b"\x01\x02\0\0", "boolean", "boolean of 2 bytes"),
        (b"\x06\x00", "oid", "without an end"),
        (b"\x06\x01\x81", "oid", "without an end"),
        (b"\x06\x81\x82" + b"\x81" * 129 + b"\x01", "oid", "of 130 bytes"),
        (b"\x04\x01\x01", "oid", "instead of 0x06"),
        (b"\x03\x00", "bits", "no bit string"),
        (b"\x03\x02\x08\x00", "bits", "no bit string"),
        (b"\x03\x01\x01", "bits", "no bit string"),
        (b"\x04\x01a", "text", "no string"),
        (b"\x02\x01\x01", "time", "no time"),
    ],
)
def test_values_that_are_none(der: bytes, method: str, problem: str) -> None:
    with pytest.raises(DerError, match=problem):
        value(der, method)


@pytest.mark.parametrize(
    ("der", "problem"),
    [
        (b"", "ends inside a header"),
        (b"\x30", "ends inside a header"),
        (b"\x30\x80\0\0", "indefinite"),
        (b"\x30\x85\1\1\1\1\1", "length of 5 octets"),
        (b"\x30\x82\x01", "ends inside a length"),
        (b"\x30\x02\x00", "an element of 2 bytes"),
        (b"\x1f", "ends inside a header"),
        (b"\x1f\x81", "ends inside a tag"),
        (b"\x1f\x81\x81\x81\x81\x01\x00", "a tag of more than"),
        (b"\x1f\x21", "ends inside a header"),
    ],
)
def test_headers_that_are_none(der: bytes, problem: str) -> None:
    with pytest.raises(DerError, match=problem):
        Walker(der).root()


def test_what_is_odd_is_noted_once() -> None:
    walker = Walker(b"\x30\x81\x08\x02\x02\x00\x01\x02\x02\x00\x02tail")
    root = walker.root()
    assert [walker.integer(child) for child in walker.children(root)] == [1, 2]
    assert walker.notes == ["a length longer than it need be", "trailing bytes: 4", "an integer longer than it need be"]
    for i in range(99):
        walker.note(str(i))
    assert len(walker.notes) == MAX_NOTES


def test_cut_off_is_read_as_far_as_it_goes() -> None:
    walker = Walker(b"\x30\x20\x02\x01\x07")
    root = walker.root(clamp=True)
    assert walker.integer(walker.children(root)[0]) == 7
    assert walker.notes == ["cut off: an element of 32 bytes at byte 0, where 3 are left"]


def test_tags_above_thirty() -> None:
    walker = Walker(b"\xbf\x81\x01\x02\x04\x00")
    root = walker.root()
    assert (root.tag, root.constructed) == (0xBF << 24 | 129, True)
    assert [child.tag for child in walker.children(root)] == [4]


def test_the_bounds() -> None:
    with pytest.raises(DerError, match="at most"):
        Walker(bytes(MAX_BYTES + 1))
    deep = b""
    for _ in range(MAX_DEPTH + 2):
        deep = tlv(SEQUENCE, deep)
    with pytest.raises(DerError, match="deeper than"):
        list(Walker(deep).walk())
    flat = tlv(SEQUENCE, b"\x05\0" * MAX_ELEMENTS)
    with pytest.raises(DerError, match="too many elements"):
        list(Walker(flat).walk())
    with pytest.raises(DerError, match="too many elements"):
        Walker(flat, 3).children(Walker(flat).root())


def test_only() -> None:
    walker = Walker(tlv(SEQUENCE, integer(1)))
    assert walker.integer(walker.only(walker.root(), 0x02)) == 1
    walker = Walker(tlv(SEQUENCE, integer(1), integer(2)))
    with pytest.raises(DerError, match="3 bytes too many"):
        walker.only(walker.root(), 0x02)


def everything(data: bytes) -> int:
    """Walk it all and try every value of every element; how many elements there were."""
    try:
        walker = Walker(data)
        count = 0
        for element in walker.walk():
            count += 1
            for read in (walker.integer, walker.boolean, walker.oid_of, walker.bits, walker.flags, walker.text,
                         walker.time):  # fmt: skip
                try:
                    read(element)
                except DerError:
                    pass
    except DerError:
        return 0
    return count


@pytest.mark.timeout(3_600 if FUZZ > 20_000 else 180)
def test_any_bytes() -> None:
    """Mutations of real certificates and of bombs, and noise: DerError or a value, within the bounds."""
    rng = random.Random(7)
    seeds = [der for der in (*zoo().values(), *bombs().values()) if len(der) < 2_000]
    walked = 0
    for _ in range(FUZZ):
        data = bytearray(rng.choice(seeds)) if rng.random() < 0.9 else bytearray(rng.randbytes(rng.randrange(64)))
        for _ in range(rng.randrange(1, 5)):
            if not data:
                break
            place = rng.randrange(len(data))
            what = rng.randrange(4)
            if what == 0:
                data[place] = rng.randrange(256)
            elif what == 1:
                data[place] ^= 1 << rng.randrange(8)
            elif what == 2:
                del data[place : place + rng.randrange(1, 9)]
            else:
                data[place:place] = rng.randbytes(rng.randrange(1, 9))
        count = everything(bytes(data))
        assert count <= MAX_ELEMENTS
        walked += count > 10
    assert walked > FUZZ // 20  # it comes behind the first header often enough to mean something


@pytest.mark.parametrize("bomb", ["deep", "deep in a name", "flat", "a length beyond all", "indefinite",
                                  "a name of 30,000 parts", "20,000 extensions", "two megabytes"])  # fmt: skip
def test_a_bomb_is_bounded(bomb: str) -> None:
    with pytest.raises(DerError):
        list(Walker(bombs()[bomb]).walk())
