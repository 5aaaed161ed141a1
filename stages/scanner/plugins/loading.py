"""From `--plugin NAME` to an object. NAME is an entry point of the group `longline.plugins`, or `module:Class`; after
a `=` stands an argument.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from importlib.metadata import entry_points
from typing import Final

from stages.core.errors import UsageError
from stages.scanner.plugins.base import Plugin

#: Entry points of other packages: a class, by the name that users write.
GROUP: Final = "longline.plugins"

_OPTION: Final = "--plugin"


def load(names: Sequence[str]) -> list[Plugin]:
    """Made, in this order. Raises UsageError for one that is not there, is no plugin or does not take its argument."""
    return [_made(name) for name in names]


def _made(text: str) -> Plugin:
    name, given, argument = text.partition("=")
    try:
        found = _found(name)
    except UsageError:
        raise
    except Exception as error:  # whatever another package's file does
        raise UsageError(_OPTION, name, f"cannot be loaded: {type(error).__name__}: {error}") from error
    if not (isinstance(found, type) and issubclass(found, Plugin)):
        raise UsageError(_OPTION, name, "is no class derived from stages.scanner.plugins.base.Plugin")
    try:
        return found(argument) if given else found()  # type: ignore[call-arg]
    except Exception as error:
        raise UsageError(_OPTION, text, f"{type(error).__name__}: {error}") from error


def _found(name: str) -> object:
    file, colon, made = name.partition(":")
    if colon:
        found: object = importlib.import_module(file)
        for part in made.split("."):
            found = getattr(found, part)
        return found
    points = {point.name: point for point in entry_points(group=GROUP)}
    if name not in points:
        known = ", ".join(sorted(points)) or "none are installed"
        raise UsageError(_OPTION, name, f"there is no such plugin; installed: {known}; or name a class, module:Class")
    loaded: object = points[name].load()
    return loaded
