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

#: Bytes of a payload that are looked at: more than a packet holds.
MAX_PAYLOAD: Final = 1 << 16

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
    begin_plain_log(name, scanner.verbosity, option)
    for line in system.said(loaded):
        log.info("%s", line)
    for hint in (seed_hint(loaded), template_hint(loaded)):
        if hint is not None:
            log.warning("%s", hint)
    return name


def begin_plain_log(name: str | None, verbosity: int, option: str = "-l/--log-file") -> None:
    """Set the log up, in the file called `name` if there is one. Raises UsageError that names `option`."""
    stream: TextIO = sys.stderr
    if name is not None:
        try:
            stream = Path(name).open("a", buffering=1, encoding="utf-8")  # noqa: SIM115 - until the process ends
        except OSError as error:
            raise UsageError(option, name, f"cannot be written: {error.strerror}") from None
    set_up(os.environ, default=LEVELS[verbosity], stream=stream)


def template_hint(loaded: Loaded) -> str | None:
    """For who gives a template as a payload: `file:` sends it as it stands."""
    args = loaded.get("scanner", ScannerSettings).probe_args or ""
    kind, _, name = args.partition(":")
    if kind != "file":
        return None
    try:
        with Path(name).open("rb") as stream:
            held = stream.read(MAX_PAYLOAD)
    except OSError:
        return None  # said better by who needs it
    return f"{name} holds ${{...}}, which file: sends as it stands; template: fills it in" if b"${" in held else None


def seed_hint(loaded: Loaded) -> str | None:
    """For who learned `-s` as the seed from an old manual's example."""
    scanner = loaded.get("scanner", ScannerSettings)
    first, last = scanner.source_ports
    if scanner.seed is None and first == last and first < _FIRST_USER_PORT:
        return f"-s {first} is the source port of every probe; the seed of the order is -e/--seed"
    return None
