"""`--readscan`: files of masscan's or ours, in any of its formats, into any other, or onto the screen."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Final

from stages import __version__
from stages.cli.masscan.config import Config
from stages.cli.masscan.mapping import DEFAULT_FORMAT, show_of
from stages.core.errors import HostError, UsageError
from stages.scanner.masscan.items import Banner, Item
from stages.scanner.masscan.reading import read_items
from stages.scanner.masscan.writing import About, writer

#: Items written at once.
_BATCH: Final = 4096


def convert(config: Config) -> int:
    """Read, then write: no file is touched before all of them are known to be right. Raises UsageError."""
    shown = show_of(config)
    items: list[Item] = []
    for file in config.readscan:
        try:
            data = Path(file).read_bytes()
        except OSError as error:
            raise UsageError("--readscan", file, error.strerror or str(error)) from None
        try:
            items += read_items(data)
        except ValueError as error:
            raise UsageError(file, None, str(error)) from None
    chosen = [item for item in items if isinstance(item, Banner) or shown in ("all", item.state)]
    if config.output_filename is None:
        form = config.output_format or "interactive"
    else:
        form = config.output_format or DEFAULT_FORMAT
    if form == "none":
        return 0
    made = writer(form, About(min((item.ts for item in items), default=0), __version__))
    out = made.begin()
    out += b"".join(made.items(chosen[at : at + _BATCH]) for at in range(0, len(chosen), _BATCH))
    out += made.end(int(time.time()))
    name = config.output_filename
    if name in (None, "-"):
        sys.stdout.buffer.write(out)
        sys.stdout.flush()
        return 0
    try:
        with Path(str(name)).open("ab" if config.append else "wb") as file_out:
            file_out.write(out)
    except OSError as error:
        raise HostError(f"{name}: {error.strerror}") from None
    return 0
