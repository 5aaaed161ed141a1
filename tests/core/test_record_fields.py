"""Each reader of a field: what it takes, and what it says of anything else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from stages.core import record_fields as fields
from stages.core.errors import RecordError
from stages.core.outcome import DeadReason, Phase
from stages.core.record_fields import b64, check, of_types

PHASES = {str(phase): phase for phase in Phase}
Reader = Callable[[dict[str, Any]], object]


def read_optional(kind: type | tuple[type, ...]) -> Reader:
    return lambda d: fields.optional(d, "key", kind)


READERS: dict[str, Reader] = {
    "text": lambda d: fields.text(d, "key"),
    "string": read_optional(str),
    "number": read_optional((int, float)),
    "object": read_optional(dict),
    "flag": lambda d: fields.flag(d, "key"),
    "time": lambda d: fields.time(d, "key"),
    "lengths": lambda d: fields.lengths(d, "key"),
    "words": lambda d: fields.words(d, "key"),
    "decoded": lambda d: fields.decoded(d.get("key"), "key"),
    "issuer": lambda d: fields.issuer(d.get("key")),
    "count": lambda d: fields.count(d, "key"),
    "word": lambda d: fields.word(PHASES, Phase, d.get("key")),
}
NOTHING: dict[str, object] = {}


def of(value: object) -> dict[str, object]:
    return {"key": value}


@pytest.mark.parametrize(
    ("reader", "given", "value"),
    [
        ("text", of(""), ""), ("text", of("a"), "a"),
        ("string", NOTHING, None), ("string", of(None), None), ("string", of("a"), "a"),
        ("number", of(0), 0), ("number", of(0.5), 0.5), ("object", of({"a": 1}), {"a": 1}),
        ("flag", NOTHING, False), ("flag", of(None), False), ("flag", of(False), False), ("flag", of(True), True),
        ("time", of("1970-01-01T00:00:01.000002Z"), 1_000_002),
        ("lengths", NOTHING, None), ("lengths", of([]), []), ("lengths", of([1, 0]), [1, 0]),
        ("words", of(None), None), ("words", of(["a", ""]), ["a", ""]),
        ("decoded", of(""), b""), ("decoded", of("AAE="), b"\0\1"), ("issuer", of("AAE="), b"\0\1"),
        ("count", NOTHING, 1), ("count", of(0), 0), ("count", of(7), 7),
        ("word", of(str(Phase.FINISH)), Phase.FINISH),
    ],
)  # fmt: skip
def test_what_is_right(reader: str, given: dict[str, object], value: object) -> None:
    got = READERS[reader](given)
    assert (got, type(got)) == (value, type(value))


@pytest.mark.parametrize(
    ("reader", "given", "told"),
    [
        ("text", NOTHING, "key is None, not a string"), ("text", of(5), "key is 5, not a string"),
        ("string", of(5), "key is 5"), ("number", of(True), "key is True"), ("number", of("5"), "key is '5'"),
        ("object", of([]), "key is []"),
        ("flag", of(1), "key is 1, not true or false"),
        ("time", NOTHING, "key is None, not a string"), ("time", of("noon"), "key is 'noon', not an RFC 3339 time"),
        ("lengths", of(5), "key is 5, not a list of lengths"), ("lengths", of([True]), "not a list of lengths"),
        ("words", of("a"), "key is 'a', not a list of strings"), ("words", of([5]), "not a list of strings"),
        ("decoded", NOTHING, "key is None, not base64"), ("decoded", of("AAE"), "key is not base64"),
        ("decoded", of("AA\nE="), "key is not base64"), ("decoded", of("ä"), "key is not base64"),
        ("issuer", of(5), "certificates is 5, not base64"), ("issuer", of("!"), "certificates is not base64"),
        ("count", of(-1), "key is -1, not a count"), ("count", of(True), "key is True, not a count"),
        ("count", of(None), "key is None, not a count"),
        ("word", of("nowhere"), "'nowhere' is not a valid Phase"), ("word", of([]), "'[]' is not a valid Phase"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(reader: str, given: dict[str, object], told: str) -> None:
    with pytest.raises(RecordError) as caught:
        READERS[reader](given)
    assert caught.value.reason is DeadReason.SCHEMA
    assert told in str(caught.value)


FIELDS = [*of_types("a b", int, type(None)), *of_types("c", str, wanted=", not a string")]


def test_many_fields_at_once() -> None:
    check({"a": 1, "c": ""}, FIELDS)
    for given, told in (
        ({"a": True, "c": ""}, "a is True"), ({"b": "1", "c": ""}, "b is '1'"), ({}, "c is None, not a string"),
    ):  # fmt: skip
        with pytest.raises(RecordError) as error:
            check(given, FIELDS)
        assert error.value.detail == told


def test_an_issuer_that_comes_again_is_the_same_object() -> None:
    small, large = b64(b"i" * 900), b64(b"l" * 9_000)
    assert fields.issuer(small) is fields.issuer(small + "")
    assert fields.issuer(large) == fields.issuer(large) == b"l" * 9_000
    assert fields.issuer(large) is not fields.issuer(large)
