from __future__ import annotations

import io
import logging
import re
from collections.abc import Iterator

import pytest

from stages.core.errors import SettingError
from stages.core.logs import VARIABLE, parse_levels, set_up


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger("longline")
    before = (list(root.handlers), root.propagate, root.level)
    yield
    root.handlers[:], root.propagate = before[0], before[1]
    for name in ("longline", "longline.core.runner", "longline.bus"):
        logging.getLogger(name).setLevel(logging.NOTSET)
    root.setLevel(before[2])


@pytest.mark.parametrize(
    ("text", "levels"),
    [
        ("", {"longline": 20}),
        ("debug", {"longline": 10}),
        ("WARNING", {"longline": 30}),
        (
            "info, core.runner=debug,longline.bus=error",
            {"longline": 20, "longline.core.runner": 10, "longline.bus": 40},
        ),
    ],
)
def test_levels(text: str, levels: dict[str, int]) -> None:
    assert parse_levels(text) == levels


@pytest.mark.parametrize("text", ["loud", "core=loud", "=debug", "info,10"])
def test_levels_that_are_none(text: str) -> None:
    with pytest.raises(SettingError, match=VARIABLE):
        parse_levels(text)


def test_one_line_an_event() -> None:
    stream = io.StringIO()
    set_up({VARIABLE: "info,core.runner=debug"}, stream=stream)
    set_up({VARIABLE: "info,core.runner=debug"}, stream=stream)  # the last call holds, alone
    logging.getLogger("longline.core.runner").debug("seen %d", 1)
    logging.getLogger("longline.core.other").debug("not seen")
    logging.getLogger("longline.core.other").warning("seen too")
    lines = stream.getvalue().splitlines()
    assert len(lines) == 2
    stamp = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"
    assert re.fullmatch(stamp + r" DEBUG longline\.core\.runner seen 1", lines[0])
    assert re.fullmatch(stamp + r" WARNING longline\.core\.other seen too", lines[1])


def test_a_traceback_is_shown() -> None:
    stream = io.StringIO()
    set_up({}, stream=stream)
    try:
        raise ValueError("why")
    except ValueError:
        logging.getLogger("longline.x").exception("it broke")
    assert "it broke\nTraceback" in stream.getvalue()
    assert stream.getvalue().rstrip().endswith("ValueError: why")


def test_a_library_warns_in_the_same_form() -> None:
    stream = io.StringIO()
    set_up({}, stream=stream)
    set_up({}, stream=stream)
    logging.getLogger("somelibrary.conn").info("not seen")
    logging.getLogger("somelibrary.conn").error("unable to connect")
    (line,) = stream.getvalue().splitlines()
    assert line.endswith("Z ERROR somelibrary.conn unable to connect")
