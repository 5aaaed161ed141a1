"""A scan that is stopped leaves `paused.conf`, and `--resume paused.conf` goes on with it exactly.

masscan keeps an index and forgets what was excluded. Here the file is the whole configuration and names a checkpoint of
ours beside it, by which nothing is missed and nothing told twice.
"""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from stages.cli.masscan.config import Config
from stages.cli.masscan.echo import echo
from stages.core.errors import HostError

if TYPE_CHECKING:
    from stages.core.settings import Loaded

log = logging.getLogger("longline.masscan")

#: As masscan names it, in the working directory.
PAUSED: Final = "paused.conf"
CHECKPOINT: Final = "paused.checkpoint"


def scan(config: Config, loaded: Loaded) -> int:
    """Scan. Raises LonglineError; whatever ended it, what is left to do is in paused.conf."""
    from stages.cli import masscan
    from stages.cli.scan import carry_out
    from stages.net.privileges import Setup

    own = config.checkpoint is None
    if own and os.access(".", os.W_OK):
        config.checkpoint = f".masscan-{os.getpid()}.checkpoint"
        loaded = masscan.loaded_of(config)
    try:
        with Setup() as setup:  # before there are other threads: numpy starts some when it is imported
            return carry_out(loaded, setup)
    finally:
        if config.checkpoint is not None:
            _leave(config, Path(config.checkpoint), own=own)


def _leave(config: Config, file: Path, *, own: bool) -> None:
    """Keep the checkpoint of an unfinished scan and tell where; remove that of a finished one."""
    from stages.core.errors import UsageError
    from stages.scanner import checkpoint
    from stages.scanner.seenlog import SUFFIX

    beside = file.with_name(file.name + SUFFIX)
    try:
        held = checkpoint.read(file)
    except UsageError:  # the scan did not begin
        return
    if held.finished:
        for each in (file, beside):
            with suppress(OSError):
                each.unlink()
        return
    kept = Path(CHECKPOINT) if own else file
    try:
        if own:
            file.replace(kept)
            if beside.exists():
                beside.replace(kept.with_name(kept.name + SUFFIX))
        text = echo(replace(config, checkpoint=None, seed=held.seed, append=True))
        Path(PAUSED).write_text(f"# paused at {held.position}\n{text}longline-checkpoint = {kept}\n")
    except OSError as error:
        raise HostError(f"{PAUSED} cannot be written: {error.strerror}; the checkpoint is {file}") from None
    log.info("the scan goes on with: longline masscan --resume %s", PAUSED)
