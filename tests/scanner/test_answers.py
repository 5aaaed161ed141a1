from __future__ import annotations

import numpy as np

from stages.scanner import answers


def test_every_kind_has_a_name_and_successes_are_kinds() -> None:
    kinds = (answers.SYNACK, answers.RST, answers.ICMP, answers.ECHOREPLY)
    assert set(answers.KIND_NAMES) == {*kinds, answers.UDP, answers.UDP_OTHER, answers.KNOCK}
    assert set(answers.SUCCESSES) <= set(answers.KIND_NAMES)


def test_a_row_has_no_holes_to_speak_of() -> None:
    used = sum(answers.ANSWER[name].itemsize for name in answers.ANSWER.names)
    assert answers.ANSWER.itemsize - used < 8
    assert np.zeros(2, answers.ANSWER)["rtt"].dtype == np.float64


def test_what_is_cut_from_answers_keeps_the_bytes_that_its_rows_point_to() -> None:
    rows = np.zeros(3, answers.ANSWER)
    rows["data_at"], rows["data_size"] = [0, 2, 4], 2
    whole = answers.with_payload(rows, b"aabbcc")
    for part in (whole, whole[1:], whole[whole["data_at"] > 0], whole.copy()):
        assert isinstance(part, answers.Answers)
        assert part.payload == b"aabbcc"
    assert whole.base is rows  # nothing was copied


def test_what_binds_are_bits() -> None:
    assert sorted(answers.BOUND_NAMES) == [1, 2, 4, 8, 16]
