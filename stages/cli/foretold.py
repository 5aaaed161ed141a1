"""`--explain` and `--confirm-over`: what a scan will do, told or asked about before a packet is sent."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Final

from stages.core.errors import MissingCapability, UsageError
from stages.core.settings import ListSettings
from stages.scanner.settings import ScannerSettings

if TYPE_CHECKING:
    from stages.core.settings import Loaded
    from stages.scanner.prepare import Prepared

#: Answers that begin a scan.
_YES: Final = frozenset({"y", "yes"})


def _prepared(loaded: Loaded) -> Prepared:
    from stages.core.resolving import resolver
    from stages.scanner import checkpoint
    from stages.scanner.prepare import prepare

    settings = loaded.get("scanner", ScannerSettings)
    held, place = None, "--resume"
    for place, file in (("--resume", settings.resume), ("--checkpoint", settings.checkpoint)):
        if file is not None and checkpoint.there(file, place):
            held = checkpoint.read(file, place)
            break
    return prepare(
        settings, loaded.get("lists", ListSettings), now_us=time.time_ns() // 1_000, resolve=resolver(), held=held,
        held_at=place,
    )  # fmt: skip


def explain(loaded: Loaded) -> str:
    """What the scan would do, as lines. Raises UsageError as the scan would."""
    from stages.scanner import explain as explaining
    from stages.scanner.choice import KERNEL_SYN_BYTES
    from stages.scanner.quantities import packets_per_second

    prepared = _prepared(loaded)
    try:
        from stages.scanner.dryrun import FAST_BATCH, frames_of
    except ImportError as error:
        raise MissingCapability(f"the library {error.name}", "making packets", "install it") from None
    frame = float(KERNEL_SYN_BYTES)
    for piece in prepared.slices[:1]:
        if piece.version == 4 and prepared.settings.engine != "connect":  # the first frames, as they would be sent
            builder, rows = next(frames_of(prepared, piece, FAST_BATCH))
            frame = float(builder.length if builder.lengths is None else builder.lengths[:rows].mean())
    settings = prepared.settings
    rate = settings.rate if settings.bandwidth is None else packets_per_second(settings.bandwidth, frame)
    return explaining.text(prepared, explaining.explained(prepared, frame, rate))


def confirm(loaded: Loaded, over: int) -> None:
    """Go on if the scan has at most `over` targets, or somebody at a terminal says so. Raises UsageError."""
    prepared = _prepared(loaded)
    targets = prepared.spec.last - prepared.checkpoint.position
    if targets <= over:
        return
    if not (sys.stdin is not None and sys.stdin.isatty()):
        raise UsageError("--confirm-over", over, f"{targets} targets are more, and there is no terminal to ask at")
    sys.stderr.write(f"scan {targets:,} targets? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in _YES:
        raise UsageError("--confirm-over", over, f"{targets} targets are more, and the answer was no")
