"""Output modules: how answers are written. One file each, one line each in the registry.

A module's file is imported when it is asked for. Others add modules from their own packages: an entry point of the
group `longline.outputs`, whose name is what -O says and whose object is the module's class.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from stages.scanner.outputs.base import Format, OutputModule

#: Entry points of other packages.
GROUP: Final = "longline.outputs"

#: Name -> file and class.
REGISTRY: Final = {
    "csv": ("stages.scanner.outputs.csv", "Csv"),
    "json": ("stages.scanner.outputs.json", "Json"),
    "list": ("stages.scanner.outputs.list", "List"),
    "hits": ("stages.scanner.outputs.hits", "Hits"),
    "xml": ("stages.scanner.outputs.masscan", "Xml"),
    "masscan-json": ("stages.scanner.outputs.masscan", "Json"),
    "ndjson": ("stages.scanner.outputs.masscan", "Ndjson"),
    "masscan-list": ("stages.scanner.outputs.masscan", "List"),
    "grepable": ("stages.scanner.outputs.masscan", "Grepable"),
    "unicornscan": ("stages.scanner.outputs.masscan", "Unicornscan"),
    "hostonly": ("stages.scanner.outputs.masscan", "Hostonly"),
    "interactive": ("stages.scanner.outputs.masscan", "Screen"),
    "binary": ("stages.scanner.outputs.masscan", "Binary"),
    "extended_file": ("stages.scanner.outputs.extended_file", "ExtendedFile"),
    "redis": ("stages.scanner.outputs.redis", "Redis"),
    "null": ("stages.scanner.outputs.null", "Null"),
}

#: Ours.
NAMES: Final = tuple(REGISTRY)

#: Those of masscan: open targets, or what --show asks for.
MASSCAN: Final = tuple(name for name, (file, _) in REGISTRY.items() if file.endswith(".masscan"))


@cache
def _others() -> dict[str, EntryPoint]:
    """Entry points by name, not loaded. Ours win over others of the same name."""
    return {point.name: point for point in entry_points(group=GROUP) if point.name not in REGISTRY}


def names() -> tuple[str, ...]:
    """All modules that there are, ours first."""
    return (*NAMES, *_others())


def help_of(name: str) -> str:
    """What another package's module says of itself; ours are in the documents."""
    return "" if name in REGISTRY else str(getattr(get(name), "help", ""))


def get(name: str) -> Callable[[Format], OutputModule]:
    """The output module called `name`. Raises ValueError for one that there is not, or that cannot be loaded."""
    if name not in REGISTRY:
        point = _others().get(name)
        if point is None:
            raise ValueError(f"unknown output module {name!r}; there are {', '.join(names())}")
        try:
            found: Callable[[Format], OutputModule] = point.load()
        except Exception as error:  # whatever another package's file does
            raise ValueError(f"output module {name!r} ({point.value}) cannot be loaded: {error}") from error
        return found
    file, made = REGISTRY[name]
    module: Callable[[Format], OutputModule] = getattr(importlib.import_module(file), made)
    return module
