"""Logging: one line an event on standard error, never one per target.

`LONGLINE_LOG` sets what is said: a level for all (`debug`), or levels by logger (`info,core.runner=debug,bus=error`);
names are below `longline`. What the libraries under us warn of looks alike, under their own names.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from typing import Final, TextIO

from stages.core.errors import SettingError
from stages.core.times import rfc3339

#: The environment variable.
VARIABLE: Final = "LONGLINE_LOG"

ROOT: Final = "longline"

_LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}


class _Lines(logging.Formatter):
    """`2026-11-21T07:10:00.000001Z WARNING longline.core.runner message`."""

    def format(self, record: logging.LogRecord) -> str:
        text = f"{rfc3339(int(record.created * 1e6))} {record.levelname} {record.name} {record.getMessage()}"
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        return text


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
    root = logging.getLogger(ROOT)
    for handler in list(root.handlers):
        root.removeHandler(handler)
    handler = logging.StreamHandler(sys.stderr if stream is None else stream)
    handler.setFormatter(_Lines())
    root.addHandler(handler)
    root.propagate = False
    everything = logging.getLogger()
    for other in [each for each in everything.handlers if isinstance(each, _Foreign)]:
        everything.removeHandler(other)
    foreign = _Foreign(handler.stream)
    foreign.setLevel(logging.WARNING)
    foreign.setFormatter(handler.formatter)
    everything.addHandler(foreign)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
