"""Files told apart by their first bytes; damage in any of them is told, and nothing else comes out."""

from __future__ import annotations

import random

import pytest

from stages.scanner.masscan.reading import read_items
from stages.scanner.masscan.writing import FORMATS, About, writer
from tests.fuzzing import fuzz, inputs
from tests.scanner.masscan.test_binary import ITEMS

#: Inputs of the fuzz, read before the tests take LONGLINE_... out of the environment.
COUNT = inputs()


def test_nothing_is_an_empty_file() -> None:
    assert list(read_items(b"")) == []
    assert list(read_items(b"#masscan\n")) == []
    assert list(read_items(b"[\n]\n")) == []


def test_what_is_none_of_them() -> None:
    with pytest.raises(ValueError, match="1:1: 'PK"):
        list(read_items(b"PK\x03\x04 of something\n"))


@fuzz
def test_damage_is_told_and_nothing_else() -> None:
    draw = random.Random(11)
    files = []
    for name in FORMATS:
        made = writer(name, About(1))
        files.append(made.begin() + made.items(ITEMS[:12]) + made.end(2))
    for turn in range(COUNT):
        data = bytearray(files[turn % len(files)])
        for _ in range(draw.randint(1, 6)):
            at = draw.randrange(len(data))
            data[at : at + draw.randint(0, 3)] = draw.randbytes(draw.randint(0, 3))
        if draw.random() < 0.2:
            del data[draw.randrange(len(data)) :]
        try:
            items = list(read_items(bytes(data)))
        except ValueError:
            continue
        assert all(0 <= item.port <= 0xFFFF and 0 <= item.ttl <= 255 for item in items)
