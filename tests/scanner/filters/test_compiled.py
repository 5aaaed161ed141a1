from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.scanner.fields import Field
from stages.scanner.filters import Filter, FilterError, compile_filter
from stages.scanner.probes import NAMES
from stages.scanner.rows import connected, rows
from tests.fuzzing import fuzz, inputs
from tests.scanner.filters.test_columns import answers
from tests.servers.answers import array

#: Inputs of the fuzz, read before the tests take LONGLINE_... out of the environment.
COUNT = inputs()

THREE = array(
    {"address": "10.0.0.1", "ttl": 61, "rtt": 0.1},
    {"address": "10.0.0.2", "kind": 2, "ttl": 9, "rtt": float("nan"), "mss": 0, "port": 443},
    {"address": "192.0.2.1", "kind": 3, "icmp_type": 3, "icmp_code": 13, "responder": "10.0.0.254", "repeat": 1},
)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("", [0, 1, 2]),
        ("success = 1 && repeat = 0", [0]),
        ("success == 0", [1, 2]),
        ("success = false", [1, 2]),
        ("(classification = rst && ttl > 10) || classification = synack", [0]),
        ("classification in (rst, icmp)", [1, 2]),
        ("classification != 'rst'", [0, 2]),
        ("saddr in 10.0.0.0/8", [0, 1]),
        ("saddr != 10.0.0.1", [1, 2]),
        ("saddr in (10.0.0.1, 192.0.2.0/24)", [0, 2]),
        ("saddr in 2001:db8::/32", []),
        ("sport in (80, 443)", [0, 1, 2]),
        ("sport = 400-500", [1]),
        ("sport != 400-500", [0, 2]),
        ("ttl <= 61 && ttl >= 61", [0, 2]),
        ("rtt < 1", [0, 2]),
        ("!(rtt < 1)", [1]),
        ("icmp_responder in 10.0.0.0/24", [2]),
        ("icmp_responder != 10.0.0.1", [2]),
        ("!icmp_responder = 10.0.0.1", [0, 1, 2]),
        ("icmp_unreach_str = 'communication admin. prohibited'", [2]),
        ("icmp_class = unreach", [2]),
        ("tcpopt_mss = null", [1, 2]),
        ("tcpopt_mss != null", [0]),
        ("ttl != null", [0, 1, 2]),
        ("validated = ''", [0, 1, 2]),  # asked row by row
        ("ttl = 99999999999999999999", []),
        ("ttl > -1", [0, 1, 2]),
    ],
)
def test_what_is_kept(text: str, kept: list[int]) -> None:
    wanted = compile_filter(text, "tcp_synscan")
    assert np.flatnonzero(wanted.mask(THREE)).tolist() == kept
    assert [at for at, row in enumerate(rows(THREE)) if wanted.keeps(row)] == kept
    assert wanted.everything == (text == "")


def test_rows_of_connections_have_fields_unknown_and_ipv6() -> None:
    row = connected("2001:db8::1", 80, 1, ts=0, rtt=None)
    for text, kept in (
        ("saddr in 2001:db8::/32", True), ("saddr in 10.0.0.0/8", False), ("saddr != 10.0.0.1", True),
        ("daddr = 10.0.0.1", False), ("daddr != 10.0.0.1", False), ("daddr = null", True), ("ttl > 1", False),
        ("rtt < 9", False), ("success = 1 && repeat = 0", True), ("window != 5", False),
    ):  # fmt: skip
        assert compile_filter(text, "tcp_synscan").keeps(row) is kept, text


def test_other_fields_than_a_modules_own() -> None:
    """As a scan of several modules has them: what is no column is asked row by row."""
    own = Field("twice", "int", "", lambda a: 2 * (a.ttl or 0))
    wanted = compile_filter("twice = 122", "several modules", [own])
    assert wanted.mask(THREE).tolist() == [True, False, True]
    with pytest.raises(FilterError, match="several modules has no field 'ttl'"):
        compile_filter("ttl = 1", "several modules", [own])


_FIELDS = (
    "success", "repeat", "ttl", "saddr", "daddr", "classification", "icmp_responder", "icmp_code", "rtt", "dport",
    "saddr_raw", "timestamp_us", "validated", "icmp_class",
)  # fmt: skip
_OPERATORS = ("=", "==", "!=", "<", ">", "<=", ">=", "in", "&&", "||", "!", "(", ")", ",", " ")
_VALUES = ("0", "1", "64", "0.25", "80-90", "10.0.0.0/8", "fe80::/10", "rst", '"icmp"', "null", "true", "-1", "0x1f")
words = st.lists(st.sampled_from(_FIELDS + _OPERATORS + _VALUES), max_size=14).map(" ".join)
terms = st.builds(
    lambda bang, field, sign, value: f"{bang}{field} {sign} {value}",
    st.sampled_from(("", "!")), st.sampled_from(_FIELDS), st.sampled_from(_OPERATORS[:8]), st.sampled_from(_VALUES),
)  # fmt: skip
filters = st.recursive(
    terms,
    lambda inner: st.builds(
        lambda left, sign, right: f"({left} {sign} {right})", inner, st.sampled_from(("&&", "||")), inner
    ),
    max_leaves=5,
)


def judged(text: str, probe: str) -> Filter | None:
    """The filter, or None after an error that shows its place within the text."""
    wrong = None
    try:
        return compile_filter(text, probe)
    except FilterError as error:
        wrong = error
    assert 0 <= wrong.start <= wrong.end <= len(text)
    assert str(wrong).count("\n") == 2
    return None


@pytest.mark.parametrize("probe", NAMES)
@given(data=st.data())
def test_arrays_and_rows_are_judged_alike(probe: str, data: st.DataObject) -> None:
    text = data.draw(filters | words)
    wanted = judged(text, probe)
    if wanted is None:
        return
    made = data.draw(answers(probe))
    assert wanted.mask(made).tolist() == [wanted.keeps(row) for row in rows(made)], text


@fuzz
def test_any_text_is_a_filter_or_an_error() -> None:
    """Random and mutated filters: a FilterError that shows its place, or a mask of the right size."""
    random = np.random.default_rng(7)
    seeds = [
        "success = 1 && repeat = 0",
        "(classification = rst && ttl > 10) || saddr in (10.0.0.0/8, ::1)",
        'icmp_unreach_str != "a \\" b" || !(sport in (80, 8000-8100)) && rtt <= 0.25 && tcpopt_mss != null',
    ]
    pieces = [*_FIELDS, *_OPERATORS, *_VALUES, '"', "\\", "\n", "\0", "ü", "9" * 90, "1e400", "&", "::::", "1.2.3.4.5"]
    compiled = 0
    for number in range(COUNT):
        text = seeds[number % len(seeds)]
        for _ in range(random.integers(0, 4)):
            at, cut = random.integers(0, len(text) + 1), random.integers(0, 5)
            text = text[:at] + pieces[random.integers(len(pieces))] + text[at + cut :]
        wanted = judged(text, "tcp_synscan")
        if wanted is None:
            continue
        compiled += 1
        assert wanted.mask(THREE).shape == (3,)
    assert compiled > COUNT // 20
