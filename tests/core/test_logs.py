from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator

import pytest

from stages.core.errors import SettingError
from stages.core.logs import (
    FORMAT,
    REMEMBERED,
    SAID_AT_MOST,
    SAID_WITHIN,
    VARIABLE,
    Bounded,
    parse_levels,
    set_up,
    tell,
)


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


def test_an_object_a_line_for_those_who_collect_them() -> None:
    stream = io.StringIO()
    set_up({FORMAT: "json"}, stream=stream)
    tell(scan="s1")
    try:
        logging.getLogger("longline.x").warning("a %s\nof two lines", "message")
    finally:
        tell(scan="")
    logging.getLogger("longline.x").info("without")
    first, second = (json.loads(line) for line in stream.getvalue().splitlines())
    assert first["ts"].endswith("Z")
    del first["ts"], second["ts"]
    assert first == {
        "level": "warning", "logger": "longline.x", "message": "a message\nof two lines", "scan": "s1",
    }  # fmt: skip
    assert second == {"level": "info", "logger": "longline.x", "message": "without"}


def test_an_exception_stays_on_its_line() -> None:
    stream = io.StringIO()
    set_up({FORMAT: "json"}, stream=stream)
    try:
        raise ValueError("broken")
    except ValueError:
        logging.getLogger("longline.x").exception("it")
    (line,) = stream.getvalue().splitlines()
    assert "ValueError: broken" in json.loads(line)["exception"]


def test_a_format_that_is_none() -> None:
    with pytest.raises(SettingError, match="LONGLINE_LOG_FORMAT: 'xml'"):
        set_up({FORMAT: "xml"})


def test_one_message_is_said_a_few_times_and_then_counted() -> None:
    now = 0.0
    bounded = Bounded(lambda: now)

    def say(text: str = "no answer in %d s", number: int = 0) -> tuple[bool, int]:
        record = logging.LogRecord("longline.x", logging.WARNING, "", 0, text, (number,), None)
        return bounded.filter(record), getattr(record, "unsaid", 0)

    assert [say(number=n) for n in range(SAID_AT_MOST)] == [(True, 0)] * SAID_AT_MOST
    assert [say(number=n) for n in range(7)] == [(False, 0)] * 7
    assert say("another %d") == (True, 0)
    now = SAID_WITHIN
    assert say() == (True, 7)
    assert say() == (True, 0)


def test_what_is_remembered_is_bounded() -> None:
    bounded = Bounded(lambda: 0.0)
    for n in range(3 * REMEMBERED):
        assert bounded.filter(logging.LogRecord("longline.x", logging.WARNING, "", 0, f"m{n}", (), None))
    assert len(bounded._seen) <= REMEMBERED


def test_who_looks_closely_sees_all() -> None:
    bounded = Bounded(lambda: 0.0)
    record = logging.LogRecord("longline.x", logging.DEBUG, "", 0, "m", (), None)
    assert all(bounded.filter(record) for _ in range(10 * SAID_AT_MOST))
