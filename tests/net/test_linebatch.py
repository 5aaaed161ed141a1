from __future__ import annotations

import numpy as np

from stages.net.linebatch import LineBatch

BATCH = LineBatch(b'{"ip":"10.0.1.2"}\n{"ip":"9.8.7.6"}\n', np.array([[18, 7, 13], [35, 25, 30]], np.int64))


def test_each_line_with_its_key() -> None:
    wanted = [(b"10.0.1", b'{"ip":"10.0.1.2"}'), (b"9.8.7", b'{"ip":"9.8.7.6"}')]
    assert list(BATCH) == wanted
    assert (BATCH[1], BATCH[:1], len(BATCH)) == (wanted[1], wanted[:1], 2)


def test_lines_without_their_keys() -> None:
    assert BATCH.lines == [b'{"ip":"10.0.1.2"}', b'{"ip":"9.8.7.6"}']


def test_nothing() -> None:
    empty = LineBatch(b"", np.zeros((0, 3), np.int64))
    assert (list(empty), empty.lines, len(empty)) == ([], [], 0)
