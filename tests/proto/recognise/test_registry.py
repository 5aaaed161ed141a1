"""All recognisers together: each greeting gets its own name, however it is cut, and nothing makes one raise."""

from __future__ import annotations

import random
from importlib import import_module

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.proto.recognise.registry import IN_ORDER, SERVICES, name_of
from stages.proto.recognise.verdict import LOOK, Verdict
from tests.fuzzing import fuzz, inputs

FUZZ = inputs()

#: File -> service, where they differ.
OTHERWISE = {"reply": "smtp-or-ftp"}
FILES = sorted((SERVICES - {"smtp-or-ftp"}) | {"reply"})
TABLES = {file: import_module(f"tests.proto.recognise.test_{file}") for file in FILES}
KNOWN = [(OTHERWISE.get(file, file), data) for file in FILES for data in TABLES[file].KNOWN]
EVERYTHING = [data for file in FILES for data in (*TABLES[file].KNOWN, *TABLES[file].REFUSED)]


def test_the_tables_are_of_the_recognisers_that_there_are() -> None:
    for file, table in TABLES.items():
        assert table.recognise is IN_ORDER[OTHERWISE.get(file, file)]


@pytest.mark.parametrize(("service", "data"), KNOWN)
def test_each_greeting_has_its_own_name(service: str, data: bytes) -> None:
    assert name_of(data, ended=True) == service
    early = [name_of(data[:cut]) for cut in range(len(data) + 1)]
    assert set(early) <= {Verdict.MORE, service}
    assert early == sorted(early, key=lambda said: said is not Verdict.MORE), "and keeps it"


@given(
    st.binary(max_size=64) | st.sampled_from(EVERYTHING).flatmap(lambda data: st.binary(max_size=9).map(data.__add__))
)
def test_what_was_said_once_is_not_taken_back(data: bytes) -> None:
    for recognise in (*IN_ORDER.values(), name_of):
        before: object = Verdict.MORE
        for cut in range(len(data) + 1):
            said = recognise(data[:cut])
            assert before is Verdict.MORE or said == before
            before = said


@given(st.binary(min_size=1, max_size=40) | st.sampled_from(EVERYTHING))
def test_nobody_is_left_out(data: bytes) -> None:
    said = [(name, recognise(data)) for name, recognise in IN_ORDER.items()]
    open_ones = [(name, verdict) for name, verdict in said if verdict is not Verdict.NO]
    first, verdict = open_ones[0] if open_ones else (None, Verdict.NO)
    assert name_of(data) == (Verdict.MORE if verdict is Verdict.MORE else first)


@pytest.mark.parametrize("data", [b"", b"\0", b"hello, world\r\n", b"login: ", b"\x80" * 99, b"Q" * (2 * LOOK)])
def test_what_nobody_knows(data: bytes) -> None:
    assert name_of(data, ended=True) is None


def test_the_look_is_bounded() -> None:
    assert name_of(b"220 " + b"x" * (LOOK - 5)) is Verdict.MORE
    assert name_of(b"220 " + b"x" * (LOOK - 4)) == "smtp-or-ftp"
    assert name_of(b"220 " + b"x" * LOOK + b"\r\n220 ftp\r\n") == "smtp-or-ftp"


@fuzz
def test_any_bytes() -> None:
    rng = random.Random(4)
    for _ in range(FUZZ):
        data = bytearray(rng.choice(EVERYTHING) if rng.random() < 0.8 else rng.randbytes(rng.randrange(80)))
        for _ in range(rng.randrange(4)):
            if data:
                data[rng.randrange(len(data))] = rng.randrange(256)
        cut = rng.randrange(len(data) + 1)
        early, late = name_of(bytes(data[:cut])), name_of(bytes(data))
        assert early is Verdict.MORE or early == late
        ended = name_of(bytes(data), ended=True)
        assert ended in SERVICES or ended is None
        assert late is Verdict.MORE or late == ended
