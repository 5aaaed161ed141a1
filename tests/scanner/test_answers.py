from __future__ import annotations

import numpy as np

from stages.scanner import answers


def test_every_kind_has_a_name_and_successes_are_kinds() -> None:
    assert set(answers.KIND_NAMES) == {answers.SYNACK, answers.RST, answers.ICMP, answers.ECHOREPLY}
    assert set(answers.SUCCESSES) <= set(answers.KIND_NAMES)


def test_a_row_has_no_holes_to_speak_of() -> None:
    used = sum(answers.ANSWER[name].itemsize for name in answers.ANSWER.names)
    assert answers.ANSWER.itemsize - used < 8
    assert np.zeros(2, answers.ANSWER)["rtt"].dtype == np.float64
