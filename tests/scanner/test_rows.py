from __future__ import annotations

from ipaddress import IPv4Address

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.scanner.answers import (
    ANSWER,
    BY_NUMBER,
    BY_PORT,
    ICMP,
    KIND_NAMES,
    RST,
    SUCCESSES,
    SYNACK,
    AnswerArray,
    Answers,
    with_payload,
)
from stages.scanner.rows import (
    Answer,
    LeftOut,
    Packed,
    Publish,
    address_text,
    connected,
    counted,
    joined,
    positions,
    rows,
    select,
)
from tests.servers.answers import array, rst, synack


def test_a_row_has_the_fields_of_the_array_in_its_order() -> None:
    assert Answer._fields == (*(name for name in ANSWER.names if name != "data_at"), "data")


def test_rows_are_plain_python_values() -> None:
    (row,) = rows(array({"ts_val": 5, "has_ts": 1}))
    assert all(type(value) in (int, float) for value in row[:-1])
    assert row.data == b""
    assert row.ts_val == 5
    assert row.success
    assert row.classification == "synack"


def test_rows_bring_their_bytes() -> None:
    given = array({"data_at": 1, "data_size": 2}, {"data_at": 3, "data_size": 0}, {"data_at": 3, "data_size": 9})
    assert [row.data for row in rows(with_payload(given, b"abcdef"))] == [b"bc", b"", b"def"]
    assert [row.data for row in rows(with_payload(given, b"abcdef")[1:])] == [b"", b"def"]


def test_by_what_an_answer_is_bound() -> None:
    (row,) = rows(array({"bound": BY_PORT | BY_NUMBER, "bits": 45}))
    assert (row.validated, row.bits) == ("port+number", 45)
    assert synack().validated == ""


def test_no_rows() -> None:
    assert rows(np.empty(0, ANSWER)) == []


def test_only_first_successes_are_published_unless_all_is_asked_for() -> None:
    answers = [synack(), synack(repeat=1), rst()]
    assert select(answers, "success") == answers[:1]
    assert select(answers, "all") == answers


def chosen_of(given: AnswerArray, mask: list[bool]) -> Answers:
    answers = given.view(Answers)
    answers.chosen = np.array(mask)
    return answers


MIXED = array({"position": 1}, {"position": 2, "repeat": 1}, {"position": 3, "kind": RST}, {"position": 4})


def test_arrays_stay_arrays_until_somebody_wants_rows() -> None:
    whole = joined([MIXED, chosen_of(MIXED[:2], [False, True])])
    assert isinstance(whole, Packed)
    wanted = rows(MIXED) + rows(chosen_of(MIXED[:2], [False, True]))
    assert (list(whole), whole[4], list(whole[3:])) == (wanted, wanted[4], wanted[3:])
    assert [type(row) is LeftOut for row in whole] == [False] * 4 + [True, False]
    assert positions(whole) == positions(wanted) == [1, 2, 3, 4, 1, 2]
    assert counted(whole) == counted(wanted) == {(SYNACK, False): 3, (SYNACK, True): 2, (RST, False): 1}


@pytest.mark.parametrize("publish", ["success", "all"])
def test_an_array_is_selected_from_as_its_rows_are(publish: Publish) -> None:
    whole = joined([MIXED, chosen_of(MIXED, [True, True, True, False])])
    found = select(whole, publish)
    assert isinstance(found, Packed)
    assert list(found) == select(list(whole), publish)


def test_what_is_more_than_an_array_is_joined_as_rows() -> None:
    bytes_too = with_payload(array({"data_at": 1, "data_size": 2}), b"abcdef")
    assert joined([MIXED, bytes_too]) == rows(MIXED) + rows(bytes_too)
    assert joined([MIXED, [rst()]]) == [*rows(MIXED), rst()]
    assert joined([]) == []


def test_every_kind_has_a_name() -> None:
    assert set(SUCCESSES) < set(KIND_NAMES)


@given(st.integers(0, 2**32 - 1))
def test_addresses_as_text(number: int) -> None:
    assert address_text(number) == str(IPv4Address(number))


def test_an_ipv6_address_is_text_already() -> None:
    assert address_text("2001:db8::1") == "2001:db8::1"


def test_what_a_kernel_socket_cannot_see_is_unknown() -> None:
    row = connected("2001:db8::1", 443, SYNACK, ts=1, rtt=0.5, position=9)
    assert (row.address, row.port, row.kind, row.seq, row.daddr, row.ttl) == (
        "2001:db8::1",
        443,
        SYNACK,
        None,
        None,
        None,
    )
    row = connected(1, 443, ICMP, ts=1, rtt=0.5, icmp=(3, 1), responder="10.0.0.254")
    assert (row.icmp_type, row.icmp_code, row.responder, row.address) == (3, 1, "10.0.0.254", 1)
    assert connected(1, 443, RST, ts=1, rtt=None).responder == 1
