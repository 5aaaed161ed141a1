from __future__ import annotations

from typing import Any

from stages.scanner.answers import with_payload
from stages.scanner.chosen import choosing
from stages.scanner.filters import compile_filter
from stages.scanner.rows import LeftOut, connected, rows, select
from tests.servers.answers import array

TWO = ({"address": "10.0.0.1", "data_at": 1, "data_size": 2}, {"address": "10.0.0.2", "kind": 2})


def put(answers: Any, text: str = "success = 1") -> Any:
    taken: list[Any] = []
    choosing(compile_filter(text, "tcp_synscan"), taken.append)(answers)
    return taken[0]


def test_rows_of_an_array_know_whether_they_are_results() -> None:
    made = rows(put(with_payload(array(*TWO), b"abc")))
    assert [type(row) is LeftOut for row in made] == [False, True]
    assert made == rows(with_payload(array(*TWO), b"abc"))  # nothing else changed, the bytes are there
    assert made[0].data == b"bc"
    assert select(made, "all") == made[:1]


def test_rows_of_connections() -> None:
    given = [connected("10.0.0.1", 80, 1, ts=0, rtt=None), connected("10.0.0.2", 80, 2, ts=0, rtt=None)]
    made = put(given)
    assert (made, [type(row) is LeftOut for row in made]) == (given, [False, True])
    assert select(made, "all") == given[:1]


def test_no_filter_is_in_nobodys_way() -> None:
    given = array(*TWO)
    assert put(given, "") is given


def test_what_is_cut_from_an_array_is_not_judged_by_its_mask() -> None:
    assert rows(put(array(*TWO))[1:]) == rows(array(TWO[1]))
    assert type(rows(put(array(*TWO))[1:])[0]) is not LeftOut


def test_what_is_no_answer_goes_as_it_is() -> None:
    said = object()
    assert put(said) is said
