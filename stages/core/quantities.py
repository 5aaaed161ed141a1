"""Quantities as people write them: `10s`, `90d`, `64KiB`, `1G`. Pure.

`Seconds` and `Size` are the types of such settings; inside they are plain float seconds and int bytes.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field

_QUANTITY: Final = re.compile(r"\s*([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*([A-Za-zµ]*)\s*", re.ASCII).fullmatch

#: Unit -> seconds. `m` is the minute, as in Prometheus durations and systemd.time(7).
DURATIONS: Final = {
    "": 1.0, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0,
}  # fmt: skip

#: Unit -> bytes: binary (IEC 80000-13) with `i`, decimal without.
SIZES: Final = {
    "": 1, "B": 1,
    "K": 10**3, "KB": 10**3, "KiB": 2**10, "M": 10**6, "MB": 10**6, "MiB": 2**20,
    "G": 10**9, "GB": 10**9, "GiB": 2**30, "T": 10**12, "TB": 10**12, "TiB": 2**40,
}  # fmt: skip

_SIZES_FOLDED: Final = {unit.lower(): factor for unit, factor in SIZES.items()}


def parse_seconds(text: str) -> float:
    """`1.5`, `500ms`, `10s`, `5m`, `2h`, `90d`, `1w` as seconds. Raises ValueError."""
    match = _QUANTITY(text)
    if match is None or match[2].lower() not in DURATIONS:
        raise ValueError("not a duration such as 0.5, 500ms, 10s, 5m, 2h or 90d")
    return float(match[1]) * DURATIONS[match[2].lower()]


def parse_size(text: str) -> int:
    """`65536`, `64KiB`, `1G` as bytes. Raises ValueError."""
    match = _QUANTITY(text)
    if match is None or match[2].lower() not in _SIZES_FOLDED:
        raise ValueError("not a size such as 65536, 64KiB, 10MB or 1G")
    factor = _SIZES_FOLDED[match[2].lower()]
    return round(float(match[1]) * factor) if "." in match[1] else int(match[1]) * factor


def _seconds(value: Any) -> Any:
    return parse_seconds(value) if isinstance(value, str) else value


def _size(value: Any) -> Any:
    return parse_size(value) if isinstance(value, str) else value


#: A duration, not negative; text may carry a unit.
Seconds = Annotated[float, BeforeValidator(_seconds), Field(ge=0)]

#: A number of bytes, not negative; text may carry a unit.
Size = Annotated[int, BeforeValidator(_size), Field(ge=0)]
