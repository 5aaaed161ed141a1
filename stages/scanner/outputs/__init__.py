"""Output modules: how answers are written. One file each, one line each in the registry."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from stages.scanner.outputs.base import Format, OutputModule
from stages.scanner.outputs.csv import Csv
from stages.scanner.outputs.hits import Hits
from stages.scanner.outputs.json import Json
from stages.scanner.outputs.list import List
from stages.scanner.outputs.null import Null

__all__ = ["OUTPUTS", "Format", "OutputModule"]

OUTPUTS: Final[dict[str, Callable[[Format], OutputModule]]] = {
    "csv": Csv,
    "json": Json,
    "list": List,
    "hits": Hits,
    "null": Null,
}
