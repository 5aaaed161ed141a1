from __future__ import annotations

import random

import pytest

from stages.core.errors import SettingError
from stages.scanner.zmapconf import Line, parse_conf
from tests.fuzzing import fuzz, inputs

#: Inputs of the fuzz, read before the tests take LONGLINE_... out of the environment.
COUNT = inputs()

#: The older manual's example, verbatim.
EXAMPLE = """\
interface "eth1"
source-ip 1.1.1.4-1.1.1.8
gateway-mac b4:23:f9:28:fa:2d # upstream gateway
cooldown-time 300 # seconds
blacklist-file /etc/zmap/blacklist.conf
output-file ~/zmap-output
quiet
summary
"""


def pairs(text: str) -> list[tuple[str, str | None]]:
    return [(line.name, line.value) for line in parse_conf(text, "f")]


def test_the_manuals_example() -> None:
    assert pairs(EXAMPLE) == [
        ("interface", "eth1"), ("source-ip", "1.1.1.4-1.1.1.8"), ("gateway-mac", "b4:23:f9:28:fa:2d"),
        ("cooldown-time", "300"), ("blacklist-file", "/etc/zmap/blacklist.conf"), ("output-file", "~/zmap-output"),
        ("quiet", None), ("summary", None),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("# only\n  # comments\n\n", []),
        ("#rate 5", []),
        ("rate 5", [("rate", "5")]),
        ("rate=5", [("rate", "5")]),
        ("rate = 5\r\n", [("rate", "5")]),
        ("\trate\t5\t# fast", [("rate", "5")]),
        ("target_port 80", [("target-port", "80")]),
        ('notes "a # b"  # c', [("notes", "a # b")]),
        ("notes 'it is \"so\"'", [("notes", 'it is "so"')]),
        ("notes a#b", [("notes", "a#b")]),
        ("output-filter success = 1 && repeat = 0", [("output-filter", "success = 1 && repeat = 0")]),
        ('notes ""', [("notes", "")]),
        ("quiet # yes", [("quiet", None)]),
    ],
)
def test_lines(text: str, expected: list[tuple[str, str | None]]) -> None:
    assert pairs(text) == expected


def test_places() -> None:
    assert list(parse_conf("\n  rate  5\nquiet", "f")) == [Line(2, 9, "rate", "5"), Line(3, 1, "quiet", None)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rate 5\n  = 7", "f:2:3: '= 7': not the name of an option and its value"),
        ('rate "5', "f:1:6: '\"5': a quote that nothing closes"),
        ('rate "5" 6', "f:1:6: '\"5\" 6': '6' stands behind the quotes"),
        ("-p 80", "f:1:1: '-p 80': not the name of an option and its value"),
        ("räte 5", "f:1:1: 'räte 5': not the name of an option and its value"),
    ],
)
def test_what_is_no_line(text: str, message: str) -> None:
    with pytest.raises(SettingError) as raised:
        list(parse_conf(text, "f"))
    assert str(raised.value) == message


@fuzz
def test_any_text_is_read_or_refused_with_its_place() -> None:
    rnd = random.Random(5)
    pieces = ["rate", " ", "=", '"', "'", "#", "\n", "\r", "\t", "-", "_", "5", "ü", "\0", "quiet", "\\", "\u2028"]
    read = 0
    for _ in range(COUNT):
        text = "".join(rnd.choices(pieces, k=rnd.randrange(20)))
        error = None
        try:
            found = list(parse_conf(text, "f"))
        except SettingError as raised:
            error = raised
        if error is not None:
            assert error.place.startswith("f:")
            continue
        read += 1
        assert all(1 <= line.number <= text.count("\n") + 1 and line.name for line in found)
    assert read > 50
