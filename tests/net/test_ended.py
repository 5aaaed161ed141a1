"""A batch of what has ended: its rows find their bytes."""

from __future__ import annotations

import numpy as np

from stages.net.ended import ENDED, Ended


def test_each_row_has_its_bytes() -> None:
    rows = np.zeros(3, ENDED)
    rows["data_at"], rows["data_size"] = [0, 2, 2], [2, 0, 3]
    batch = Ended(rows, b"abcde")
    assert len(batch) == 3
    assert [batch.body(row) for row in batch.rows] == [b"ab", b"", b"cde"]
