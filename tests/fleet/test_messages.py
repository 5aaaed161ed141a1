from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.fleet import messages
from stages.fleet.messages import MAX_MESSAGE, dump, parse
from stages.fleet.work import Strict
from tests.fleet.material import DIGEST, can, work

SLICE = messages.Slice(token=3, work=work(), first=0, last=9, only=("10.0.0.0/24",), rate=10.0)

ALL: tuple[Strict, ...] = (
    messages.Enrol(protocol=1, token="ll1.x.y", request="-----BEGIN"),
    messages.Enrolled(certificate="a", authority="b"),
    messages.Hello(protocol=1, capabilities=can(), holds=(1, 2), clock=1.5),
    messages.Welcome(protocol=1, version="0.1", timeout=60.0, skew=-0.5),
    messages.Lease(slice=SLICE),
    messages.Lease(wait=2.0, reason="nothing to do"),
    messages.Begin(token=3, digest=DIGEST, skipped=("10.0.0.0-10.0.0.9",)),
    messages.Refuse(token=3, reason="not from here"),
    messages.Progress(token=3, position=5, proof=DIGEST, sent=5, rate=1.0, pending=9, finished=True),
    messages.Order(stop=True, reason="stopped"),
    messages.Problem(error="no"),
)


@pytest.mark.parametrize("message", ALL, ids=lambda message: type(message).__name__)
def test_each_comes_back_as_it_was(message: Strict) -> None:
    assert parse(type(message), dump(message)) == message


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "Invalid JSON"),
        (b"[]", "Refuse"),
        (b'{"token": 1}', "reason"),
        (b'{"token": "1", "reason": ""}', "token"),
        (b'{"token": 0, "reason": ""}', "token"),
        (b'{"token": 1, "reason": "", "shell": "rm"}', "shell"),
        (b'{"token": 1, "reason": "' + b"x" * 501 + b'"}', "reason"),
        (b" " * (MAX_MESSAGE + 1), "bytes"),
    ],
)
def test_what_is_no_message_is_refused_and_the_field_named(body: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse(messages.Refuse, body)


@pytest.mark.parametrize(("first", "last"), [(5, 5), (9, 3), (0, 1_025)])
def test_a_slice_lies_within_its_work(first: int, last: int) -> None:
    body = dump(SLICE).replace(b'"first":0,"last":9', b'"first":%d,"last":%d' % (first, last))
    with pytest.raises(ValueError, match="positions"):
        parse(messages.Slice, body)


@given(st.sampled_from(ALL), st.data())
def test_a_changed_byte_is_another_message_or_none(message: Strict, data: st.DataObject) -> None:
    body = bytearray(dump(message))
    body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        parse(type(message), bytes(body))
    except ValueError:
        pass
