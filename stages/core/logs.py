"""Logging: one line an event on standard error, never one per target.

`LONGLINE_LOG` sets what is said: a level for all (`debug`), or levels by logger (`info,core.runner=debug,bus=error`);
names are below `longline`. `LONGLINE_LOG_FORMAT=json` makes each line an object, for those who collect logs. What the
libraries under us warn of looks alike, under their own names.

One message is said a few times within some seconds, then counted, and the count is said with the next: a broker that is
away, or a peer that can be made to fail, fills no disk.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, TextIO

from stages.core.errors import SettingError
from stages.core.times import rfc3339

#: The environment variable.
VARIABLE: Final = "LONGLINE_LOG"

#: How lines look: for people, or JSON.
FORMAT: Final = "LONGLINE_LOG_FORMAT"
FORMATS: Final = ("console", "json")

ROOT: Final = "longline"

#: Of one message, as it stands in the code, so many are said within so many seconds; and so many are remembered.
SAID_AT_MOST: Final = 10
SAID_WITHIN: Final = 10.0
REMEMBERED: Final = 1_000

#: What every line carries, such as the scan that this process is about.
_told: dict[str, str] = {}


def tell(**fields: str) -> None:
    """Have every line carry these from now on; an empty text takes a field away again."""
    _told.update(fields)
    for name in [name for name, text in _told.items() if not text]:
        del _told[name]


_LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}


class _Lines(logging.Formatter):
    """`2026-11-21T07:10:00.000001Z WARNING longline.core.runner message`."""

    def format(self, record: logging.LogRecord) -> str:
        text = f"{rfc3339(int(record.created * 1e6))} {record.levelname} {record.name} {record.getMessage()}"
        if unsaid := getattr(record, "unsaid", 0):
            text += f" ({unsaid} more like it were not said)"
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        return text


class _Objects(logging.Formatter):
    """`{"ts": ..., "level": "warning", "logger": ..., "message": ..., "scan": ...}`."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "ts": rfc3339(int(record.created * 1e6)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_told,
        }
        if unsaid := getattr(record, "unsaid", 0):
            line["unsaid"] = unsaid
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


class Bounded(logging.Filter):
    """Lets one message through a few times within some seconds; the next one afterwards says how many were not said."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._seen: dict[tuple[str, str], list[float]] = {}  #: message -> [since when, how many, how many unsaid]

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.INFO:  # somebody looks closely
            return True
        key, now = (record.name, str(record.msg)), self._clock()
        if key not in self._seen and len(self._seen) >= REMEMBERED:
            self._seen.clear()
        state = self._seen.setdefault(key, [now, 0, 0])
        if now - state[0] >= SAID_WITHIN:
            state[0], state[1] = now, 0
        state[1] += 1
        if state[1] > SAID_AT_MOST:
            state[2] += 1
            return False
        if state[2]:
            record.unsaid = int(state[2])
            state[2] = 0
        return True


def parse_levels(text: str, default: str = "info") -> dict[str, int]:
    """Logger name -> level. Raises SettingError naming what is not understood."""
    levels = {ROOT: _LEVELS[default]}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, level = part.rpartition("=")
        if level.lower() not in _LEVELS or (equals and not name):
            raise SettingError(VARIABLE, part, f"not a level ({', '.join(_LEVELS)}) or NAME=LEVEL")
        levels[f"{ROOT}.{name.removeprefix(f'{ROOT}.')}" if equals else ROOT] = _LEVELS[level.lower()]
    return levels


class _Foreign(logging.StreamHandler[TextIO]):
    """For what libraries warn of in their own loggers; without one, Python prints it bare (`logging.lastResort`)."""


def set_up(environ: Mapping[str, str], *, default: str = "info", stream: TextIO | None = None) -> None:
    """Send Longline's logs to `stream` (standard error). May be called again; the last call holds."""
    levels = parse_levels(environ.get(VARIABLE, ""), default)
    shape = environ.get(FORMAT, "") or FORMATS[0]
    if shape not in FORMATS:
        raise SettingError(FORMAT, shape, f"none of {', '.join(FORMATS)}")
    root = logging.getLogger(ROOT)
    for handler in list(root.handlers):
        root.removeHandler(handler)
    handler = logging.StreamHandler(sys.stderr if stream is None else stream)
    handler.setFormatter(_Lines() if shape == FORMATS[0] else _Objects())
    handler.addFilter(Bounded())
    root.addHandler(handler)
    root.propagate = False
    everything = logging.getLogger()
    for other in [each for each in everything.handlers if isinstance(each, _Foreign)]:
        everything.removeHandler(other)
    foreign = _Foreign(handler.stream)
    foreign.setLevel(logging.WARNING)
    foreign.setFormatter(handler.formatter)
    foreign.addFilter(Bounded())
    everything.addHandler(foreign)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
