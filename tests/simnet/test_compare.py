"""The comparison finds every fault, and none that is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.simnet.compare import Difference, Found, Wrong, compare
from stages.simnet.expectation import Expected
from stages.simnet.truth import Kind

SSH = Expected("10.0.0.1", 22, Kind.SSH, "ok", b"SSH-2.0-x\r\n")
TLS = Expected("10.0.0.2", 443, Kind.TLS12, "ok", chain=("aa", "bb"), version="TLSv1.2")
ODD = Expected("10.0.0.3", 443, Kind.TLS_UNPARSABLE, None, chain=("cc",))
ALL = [SSH, TLS, ODD]


def found(e: Expected) -> Found:
    return Found(e.ip, e.port, e.outcome, e.data, e.chain, e.version)


def test_all_right() -> None:
    difference = compare(ALL, [found(e) for e in reversed(ALL)])
    assert not difference
    assert difference.right == 3
    assert difference.lines() == []


KEY = ("10.0.0.1", 22, "tcp")


@pytest.mark.parametrize(
    ("have", "missing", "invented", "wrong"),
    [
        ([], [KEY], [], []),
        ([found(SSH), found(SSH)], [], [KEY], []),
        ([found(SSH), Found("10.0.0.9", 22)], [], [("10.0.0.9", 22, "tcp")], []),
        ([Found("10.0.0.1", 22, "ok", b"SSH-2.0-x\r\n", transport="udp")], [KEY], [("10.0.0.1", 22, "udp")], []),
        ([Found("10.0.0.1", 23, "ok")], [KEY], [("10.0.0.1", 23, "tcp")], []),
        ([Found("10.0.0.1", 22, "silent", SSH.data)], [], [], [Wrong(KEY, "outcome", "ok", "silent")]),
        ([Found("10.0.0.1", 22, "ok", b"SSH")], [], [], [Wrong(KEY, "data", SSH.data, b"SSH")]),
        ([Found("10.0.0.1", 22, "ok")], [], [], [Wrong(KEY, "data", SSH.data, None)]),
        ([Found("10.0.0.1", 22, "ok", SSH.data, ("x",), "y")], [], [], []),
    ],
)
def test_faults(have: list[Found], missing: list[object], invented: list[object], wrong: list[Wrong]) -> None:
    difference = compare([SSH], have)
    assert (difference.missing, difference.invented, difference.wrong) == (missing, invented, wrong)
    assert bool(difference) == bool(missing or invented or wrong)


def test_two_faults_of_one_service() -> None:
    difference = compare([TLS], [Found("10.0.0.2", 443, "ok", chain=("aa",), version="TLSv1.3")])
    assert [w.what for w in difference.wrong] == ["chain", "version"]
    assert difference.right == 0


def test_nothing_is_claimed_where_nothing_is_expected() -> None:
    for outcome in ("ok", "protocol", None):
        assert not compare([ODD], [Found("10.0.0.3", 443, outcome, chain=("cc",), version="x")])


def test_without_details() -> None:
    assert not compare(ALL, [Found(e.ip, e.port) for e in ALL], details=False)
    assert compare(ALL, [Found(e.ip, e.port) for e in ALL])


@given(st.sets(st.integers(0, 50)), st.sets(st.integers(0, 50)))
def test_sets(there: set[int], seen: set[int]) -> None:
    difference = compare(
        (Expected(f"10.0.0.{n}", 80, Kind.HTTP, "ok") for n in there),
        (Found(f"10.0.0.{n}", 80, "ok") for n in seen),
    )
    assert {key[0] for key in difference.missing} == {f"10.0.0.{n}" for n in there - seen}
    assert {key[0] for key in difference.invented} == {f"10.0.0.{n}" for n in seen - there}
    assert difference.right == len(there & seen)


def test_for_people() -> None:
    difference = Difference(
        missing=[(f"10.0.0.{n}", 80, "tcp") for n in range(13)],
        invented=[("10.0.1.1", 80, "tcp")],
        wrong=[Wrong(KEY, "data", b"a" * 100, b""), Wrong(KEY, "chain", ("a" * 64,), None)],
    )
    lines = difference.lines(shown=2)
    assert lines[:3] == ["missing: 10.0.0.0:80/tcp", "missing: 10.0.0.1:80/tcp", "missing: and 11 more"]
    assert lines[3] == "invented: 10.0.1.1:80/tcp"
    assert lines[4].startswith("wrong: 10.0.0.1:22/tcp: data is 0 bytes b'', not 100 bytes b'aaa")
    assert lines[5] == f"wrong: 10.0.0.1:22/tcp: chain is None, not 1 certificates ['{'a' * 16}']"
