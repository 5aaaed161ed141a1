from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.scanner.answers import ANSWER, ECHOREPLY, ICMP, KIND_NAMES, KNOCK, RST, SYNACK, UDP, UDP_OTHER, AnswerArray
from stages.scanner.fields import fields_of
from stages.scanner.filters.columns import column_of, table
from stages.scanner.probes import NAMES
from stages.scanner.rows import address_text, rows

#: Kinds that each module's answers have.
KINDS = {
    "tcp_synscan": (SYNACK, RST, ICMP),
    "tcp_synackscan": (KNOCK, RST, ICMP, SYNACK),
    "icmp_echoscan": (ECHOREPLY, ICMP),
    "icmp_echo_time": (ECHOREPLY, ICMP),
}
DATAGRAMS = (UDP, UDP_OTHER, ICMP)
BYTES = ANSWER.itemsize


@st.composite
def answers(draw: st.DrawFn, probe: str) -> AnswerArray:
    """Answers that hold anything, as far as a kernel may write it."""
    count = draw(st.integers(1, 5))
    made = np.frombuffer(draw(st.binary(min_size=BYTES * count, max_size=BYTES * count)), ANSWER).copy()
    made["kind"] = draw(st.lists(st.sampled_from(KINDS.get(probe, DATAGRAMS)), min_size=count, max_size=count))
    made["ts"] = draw(st.integers(0, 2**45))
    made["rtt"] = draw(st.sampled_from((0.25, float("nan"), 1.0000005)))
    made["wscale"] = draw(st.integers(-1, 14))
    made["bound"] &= 31
    made["data_size"] = 0
    return made


@pytest.mark.parametrize("probe", NAMES)
@given(data=st.data())
def test_columns_are_what_the_fields_say(probe: str, data: st.DataObject) -> None:
    """The oracle: every field, row by row."""
    array = data.draw(answers(probe))
    held = 0
    for field in fields_of(probe):
        column = column_of(field, probe)
        if column is None:
            continue
        held += 1
        values = column.values(array).tolist()
        known = [True] * len(array) if column.known is None else column.known(array).tolist()
        for row, value, there in zip(rows(array), values, known, strict=True):
            expected: Any = field.get(row)
            assert (expected is not None) == there, (field.name, row)
            if there:
                if column.words is not None:
                    value = column.words[value]
                elif field.type == "string":
                    value = address_text(value)
                assert value == expected, (field.name, row)
    assert held >= 15


def test_a_table_is_of_bytes() -> None:
    found = table(dict.fromkeys(KIND_NAMES))
    assert (found.shape, int(found.sum())) == ((256,), len(KIND_NAMES))
