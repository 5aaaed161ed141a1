"""What `longline scan` does at its start for options that came with ZMap: the log's place, processors, hints."""

from __future__ import annotations

import logging
import os
import sys
import time
from pathlib import Path
from typing import Final, TextIO

from stages.cli import system
from stages.cli.assembly import LEVELS
from stages.core.errors import UsageError
from stages.core.logs import set_up
from stages.core.settings import Loaded
from stages.scanner.settings import ScannerSettings
from stages.scanner.zmap_settings import ZmapSettings, parse_cores

log = logging.getLogger("longline.cli.scan")

#: Name of the log in --log-directory, as ZMap gives it.
LOG_NAME: Final = "zmap-%Y-%m-%dT%H%M%S%z.log"

#: Source ports below this are the system's (RFC 6335 section 6): one of them alone is rather a seed.
_FIRST_USER_PORT: Final = 1024


def applied(loaded: Loaded) -> Loaded:
    """The settings with what follows from ZMap's; processors are chosen, while there is one thread. Raises
    UsageError."""
    zmap, scanner = loaded.get("zmap", ZmapSettings), loaded.get("scanner", ScannerSettings)
    if zmap.iplayer:
        if scanner.engine not in ("auto", "ip"):
            raise UsageError("-X/--iplayer", None, f"means --engine ip, and --engine {scanner.engine} was given")
        loaded = loaded.changed("scanner", engine="ip")
    if zmap.cores is not None:
        try:
            os.sched_setaffinity(0, parse_cores(zmap.cores))
        except (OSError, AttributeError) as error:
            there = ",".join(map(str, sorted(os.sched_getaffinity(0)))) if hasattr(os, "sched_getaffinity") else "none"
            raise UsageError("--cores", zmap.cores, f"no such processors: there are {there} ({error})") from None
    return loaded


def begin_log(loaded: Loaded) -> str | None:
    """Set the log up where it was asked for; the name of its file. Then say what is to be said at the start.

    Raises UsageError.
    """
    zmap, scanner = loaded.get("zmap", ZmapSettings), loaded.get("scanner", ScannerSettings)
    name, option = zmap.log_file, "-l/--log-file"
    if zmap.log_directory is not None:
        option = "-L/--log-directory"
        name = str(Path(zmap.log_directory) / time.strftime(LOG_NAME))
    stream: TextIO | None = None
    if name is not None:
        try:
            stream = Path(name).open("a", buffering=1, encoding="utf-8")  # noqa: SIM115 - until the process ends
        except OSError as error:
            raise UsageError(option, name, f"cannot be written: {error.strerror}") from None
    set_up(os.environ, default=LEVELS[scanner.verbosity], stream=stream if stream is not None else sys.stderr)
    for line in system.said(loaded):
        log.info("%s", line)
    hint = seed_hint(loaded)
    if hint is not None:
        log.warning("%s", hint)
    return name


def seed_hint(loaded: Loaded) -> str | None:
    """For who learned `-s` as the seed from an old manual's example."""
    scanner = loaded.get("scanner", ScannerSettings)
    first, last = scanner.source_ports
    if scanner.seed is None and first == last and first < _FIRST_USER_PORT:
        return f"-s {first} is the source port of every probe; the seed of the order is -e/--seed"
    return None
