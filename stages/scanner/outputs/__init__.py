"""Output modules: how answers are written. One file each, one line each in the registry.

A module's file is imported when it is asked for.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from stages.scanner.outputs.base import Format, OutputModule

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

NAMES: Final = tuple(REGISTRY)

#: Those of masscan: open targets, or what --show asks for.
MASSCAN: Final = tuple(name for name, (file, _) in REGISTRY.items() if file.endswith(".masscan"))


def get(name: str) -> Callable[[Format], OutputModule]:
    """The output module called `name`. Raises KeyError for an unknown one."""
    file, made = REGISTRY[name]
    module: Callable[[Format], OutputModule] = getattr(importlib.import_module(file), made)
    return module
