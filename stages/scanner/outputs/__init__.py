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
    "extended_file": ("stages.scanner.outputs.extended_file", "ExtendedFile"),
    "redis": ("stages.scanner.outputs.redis", "Redis"),
    "null": ("stages.scanner.outputs.null", "Null"),
}

NAMES: Final = tuple(REGISTRY)


def get(name: str) -> Callable[[Format], OutputModule]:
    """The output module called `name`. Raises KeyError for an unknown one."""
    file, made = REGISTRY[name]
    module: Callable[[Format], OutputModule] = getattr(importlib.import_module(file), made)
    return module
